"""Gates: what must hold before a contender is promoted, and what each says when it does not."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.trials.findings import comparison, moments, segment

from podium.records import Gates
from podium.trials.comparison import Comparison
from podium.trials.errors import Loss
from podium.trials.gates import GateResult, check
from podium.trials.sequential import PairMoments


def one(gates: Gates, found: Comparison) -> GateResult:
    (result,) = check(gates, found)
    return result


def test_what_is_not_asked_is_not_checked() -> None:
    assert check(Gates(), comparison()) == ()


def test_each_gate_that_is_set_has_a_result_in_order() -> None:
    gates = Gates(requests=10, error=0.01, segment=0.05, p99_ms=100)
    results = check(gates, comparison(pair=moments(-0.1), segments=(segment(-0.1),)))
    assert [result.gate for result in results] == ["requests", "error", "segment", "p99"]
    assert all(result.passed and result.short == 0 for result in results)


@given(st.integers(0, 10**7), st.integers(1, 10**7))
def test_the_requests_that_are_missing_are_counted(common: int, bound: int) -> None:
    result = one(Gates(requests=bound), comparison(common=common))
    assert (result.passed, result.short) == (common >= bound, max(0, bound - common))


def test_missing_requests_are_said() -> None:
    words = one(Gates(requests=10_000), comparison(common=4_200)).words
    assert words == "4,200 requests were scored by both, 10,000 are asked: 5,800 are missing"


@given(st.floats(0.1, 300))
def test_a_slow_contender_is_told_by_how_much(bound: float) -> None:
    result = one(Gates(p99_ms=bound), comparison())
    assert result.measured == 99
    assert result.passed == (bound >= 99)
    assert result.short == max(0, 99 - bound)


def test_what_a_slow_contender_is_told() -> None:
    words = one(Gates(p99_ms=90), comparison()).words
    assert words == "99% of forest@9f2c1ab04d5e's scores took at most 99 ms, allowed are 90 ms: 9 ms too slow"


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100), st.floats(0, 1))
def test_late_scores_and_errors_are_failures(scored: int, late: int, errors: int, bound: float) -> None:
    found = comparison()
    side = msgspec.structs.replace(found.b, scored=scored, late=late, errors=errors)
    result = one(Gates(failures=bound), msgspec.structs.replace(found, b=side))
    asked = scored + late + errors
    assert result.passed == (asked > 0 and (late + errors) / asked <= bound)


def test_a_contender_that_fails_is_told_how_often() -> None:
    found = comparison()
    side = msgspec.structs.replace(found.b, scored=90, late=4, errors=6)
    words = one(Gates(failures=0.01), msgspec.structs.replace(found, b=side)).words
    assert words == (
        "forest@9f2c1ab04d5e scored 10% of 100 requests late or not at all, allowed is 1%: 9 points too much"
    )


def test_an_error_gate_opens_when_a_larger_error_is_excluded() -> None:
    result = one(Gates(error=0.01), comparison(pair=moments(-0.1)))
    assert result.passed
    assert result.measured == pytest.approx(-0.1, abs=0.02)
    assert result.words == (
        "y: on 10,000 outcomes the error is 10% smaller than the champion's; "
        "at 95% confidence it is smaller by 9.81% at least, allowed is 1%"
    )


def test_an_error_gate_that_fails_says_by_how_much_and_how_many_outcomes_would_do() -> None:
    found = comparison(pair=moments(-0.01, 300, noise=0.5))
    result = one(Gates(error=0.01), found)
    assert not result.passed
    assert result.measured is not None
    assert result.short == pytest.approx(result.measured - 0.01)
    assert f"{100 * result.short:.2g} points too much; if nothing else changes, about " in result.words


def test_a_contender_that_is_worse_than_allowed_is_not_promised_that_more_outcomes_would_do() -> None:
    result = one(Gates(error=0.01), comparison(pair=moments(0.2)))
    assert not result.passed
    assert result.words.endswith("points too much")
    assert "larger than the champion's" in result.words


@pytest.mark.parametrize("gates", [Gates(error=0.01), Gates(segment=0.05)])
def test_without_outcomes_a_gate_stays_shut_and_says_what_to_send(gates: Gates) -> None:
    result = one(gates, comparison())
    assert (result.passed, result.measured, result.short) == (False, None, None)
    assert "podium outcome" in result.words


def test_with_few_outcomes_nothing_can_be_excluded() -> None:
    result = one(Gates(error=0.01), comparison(pair=moments(0, 50)))
    assert (result.passed, result.measured) == (False, None)
    assert "any times larger" in result.words


def test_nobody_is_shown_to_be_hardly_worse_than_one_who_is_never_wrong() -> None:
    never = PairMoments.of(np.zeros(5000), np.arange(5000) % 100 == 0)
    result = one(Gates(error=0.01), comparison(pair=never, loss=Loss.WRONG))
    assert (result.passed, result.measured) == (False, None)
    assert "the error is 0.01, the champion's is 0" in result.words


def test_the_worst_segment_shuts_the_gate() -> None:
    segments = tuple(segment(worse, values=f"part {worse}") for worse in (-0.1, 0.0, 0.2, 0.3))
    result = one(Gates(segment=0.05), comparison(segments=segments))
    assert not result.passed
    assert result.words.startswith("y where bmi is part 0.3: ")
    assert result.words.endswith("2 of 4 fail, this the most")
    assert one(Gates(segment=0.05), comparison(segments=segments[:2])).passed


def test_small_segments_are_not_judged_and_that_is_said() -> None:
    segments = (segment(-0.1), segment(0.5, 20, values="high"))
    result = one(Gates(segment=0.05), comparison(segments=segments))
    assert result.passed
    assert "1 of 2 segments, with under 100 outcomes, not judged" in result.words
    alone = one(Gates(segment=0.05), comparison(segments=segments[1:]))
    assert not alone.passed
    assert "no segment of an input has 100 outcomes" in alone.words


def test_gates_that_can_never_open_say_so() -> None:
    found = comparison(pair=moments(-0.5))
    assert "never opens" in one(Gates(error=0.01, confidence=1.0), found).words
    assert "no model keeps" in one(Gates(p99_ms=0), found).words
    unscored = one(Gates(p99_ms=10), comparison(ms=np.array([])))
    assert (unscored.passed, unscored.measured) == (False, None)
    assert "no scores" in unscored.words


@given(st.floats(0, 0.5), st.floats(0, 0.5), st.floats(-0.2, 0.4))
def test_a_gate_that_opens_opens_at_any_looser_bound_and_lower_confidence(
    one_bound: float, other_bound: float, worse: float
) -> None:
    found = comparison(pair=moments(worse, 2000))
    strict, loose = sorted((one_bound, other_bound))
    if one(Gates(error=strict), found).passed:
        assert one(Gates(error=loose), found).passed
        assert one(Gates(error=strict, confidence=0.8), found).passed
