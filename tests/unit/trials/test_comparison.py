"""What a comparison shows of two contenders' errors."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.trials.findings import comparison, moments, segment

from podium.trials.comparison import Comparison, difference_interval, paired, relative_bound
from podium.trials.errors import Loss
from podium.trials.sequential import LEAST, PairMoments

PARTS = st.floats(-0.3, 0.3)
ROWS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=400).map(
    lambda rows: np.array(rows, float).T
)


@pytest.mark.parametrize(("worse", "verdict"), [(-0.2, "better"), (0.2, "worse"), (0.0001, "undecided")])
def test_a_difference_that_its_interval_excludes_from_chance_is_a_verdict(worse: float, verdict: str) -> None:
    found = paired(Loss.ABSOLUTE, moments(worse))
    assert found.verdict == verdict
    assert found.relative == pytest.approx(worse, abs=0.03)


@given(ROWS, st.floats(1, 3))
def test_the_difference_of_two_lies_mirrored_when_they_swap(rows: np.ndarray, scale: float) -> None:
    for loss, (a, b) in ((Loss.WRONG, rows), (Loss.ABSOLUTE, rows * scale)):
        there, back = paired(loss, PairMoments.of(a, b)), paired(loss, PairMoments.of(b, a))
        assert there.difference == pytest.approx(-back.difference, abs=1e-12)
        if there.interval and back.interval:
            assert there.interval.low == pytest.approx(-back.interval.high, abs=1e-9)
        assert {there.verdict, back.verdict} in ({"better", "worse"}, {"undecided"})


@given(PARTS, PARTS, st.integers(LEAST, 3000))
def test_a_relative_bound_is_within_what_is_asked_exactly_where_that_is_shown(
    worse: float, asked: float, count: int
) -> None:
    pair = moments(worse, count)
    found = relative_bound(Loss.ABSOLUTE, pair, asked=asked)
    shown = difference_interval(Loss.ABSOLUTE, pair, k=1 + asked)
    assert shown
    assert (found is not None and found <= asked) == (shown.high <= 0)
    if found is not None:
        assert found >= pair.mean_b / pair.mean_a - 1 - 1e-6


@given(ROWS, PARTS)
def test_so_it_is_for_classes(rows: np.ndarray, asked: float) -> None:
    pair = PairMoments.of(*rows)
    found = relative_bound(Loss.WRONG, pair, asked=asked)
    shown = difference_interval(Loss.WRONG, pair, k=1 + asked)
    assert shown
    if abs(shown.high) > 1e-9:
        assert (found is not None and found <= asked) == (shown.high < 0)


@given(PARTS, st.floats(0.6, 0.99))
def test_more_confidence_excludes_less_and_the_unit_of_the_loss_does_not_matter(
    worse: float, confidence: float
) -> None:
    pair = moments(worse)
    scaled = PairMoments(
        count=pair.count,
        mean_a=7 * pair.mean_a,
        mean_b=7 * pair.mean_b,
        variance_a=49 * pair.variance_a,
        variance_b=49 * pair.variance_b,
        covariance=49 * pair.covariance,
    )
    sure, surer = (relative_bound(Loss.ABSOLUTE, pair, by) for by in (confidence, confidence + 0.005))
    assert sure is not None
    assert surer is not None
    assert sure <= surer
    assert relative_bound(Loss.ABSOLUTE, scaled, confidence) == pytest.approx(sure, abs=1e-5)


def test_nothing_is_excluded_without_rows_or_of_one_who_is_never_wrong() -> None:
    assert relative_bound(Loss.ABSOLUTE, PairMoments(count=0)) is None
    assert relative_bound(Loss.WRONG, PairMoments(count=0)) is None
    never = paired(Loss.WRONG, PairMoments.of(np.zeros(500), np.zeros(500)))
    assert (never.relative, never.verdict) == (None, "undecided")
    assert relative_bound(Loss.WRONG, never.pair) is None


def test_a_comparison_survives_being_written_as_json() -> None:
    found = comparison(pair=moments(0.1), segments=(segment(0.1),))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Comparison) == found


@pytest.mark.parametrize("loss", [Loss.ABSOLUTE, Loss.WRONG])
def test_what_is_just_not_allowed_is_seldom_taken_for_less_though_somebody_looks_each_day(loss: Loss) -> None:
    runs, day, days, bound = 150, 100, 12, 0.2
    chance = np.random.default_rng(11)
    taken = 0
    for _ in range(runs):
        if loss is Loss.WRONG:
            a, b = chance.random((2, day * days)) < np.array([[0.2], [0.2 * (1 + bound)]])
        else:
            a, b = chance.exponential(size=(2, day * days)) * np.array([[1.0], [1 + bound]])
        for seen in range(day, day * days + 1, day):
            found = relative_bound(loss, PairMoments.of(a[:seen], b[:seen]), asked=bound)
            if found is not None and found <= bound:
                taken += 1
                break
    assert taken / runs < 0.05
