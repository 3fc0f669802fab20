"""Guards: what makes an endpoint roll back by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.counters import Series
from podium.records import Contender, Guards, Policy, Role
from podium.trials.guards import Counts, Window, check, counted

ALL = Guards(errors=0.05, late=0.05, defaults=0.05, disagreement=0.05, requests=100)


@pytest.mark.parametrize(
    ("window", "guard"),
    [
        (Counts(scored=100, errors=6), "errors"),
        (Counts(scored=100, late=6), "late"),
        (Counts(answered=100, defaults=6), "defaults"),
        (Counts(compared=100, disagreed=6), "disagreement"),
        (Counts(scored=100, late=6, errors=6), "errors"),
    ],
)
def test_a_part_over_its_bound_is_a_breach(window: Counts, guard: str) -> None:
    breach = check(ALL, window)
    assert breach
    assert (breach.guard, breach.measured, breach.bound, breach.count) == (guard, 0.06, 0.05, 100)


@pytest.mark.parametrize(
    "window",
    [
        Counts(),
        Counts(scored=100, errors=5, late=5, answered=100, defaults=5, compared=100, disagreed=5),
        Counts(scored=99, errors=99, late=99, answered=99, defaults=99, compared=99, disagreed=99),
    ],
    ids=["nothing", "at the bound", "too few"],
)
def test_parts_within_their_bounds_and_too_few_requests_are_none(window: Counts) -> None:
    assert check(ALL, window) is None


def test_what_is_not_watched_is_no_breach() -> None:
    every = Counts(scored=100, errors=100, late=100, answered=100, defaults=100, compared=100, disagreed=100)
    assert check(Guards(), every) is None
    assert check(Guards(errors=0.0), Counts(scored=1000, errors=1)) is not None


def test_a_breach_says_what_was_counted_and_what_is_allowed() -> None:
    breach = check(ALL, Counts(scored=1234, errors=148))
    assert breach
    assert breach.words == (
        "11.99% of the champion's scores are errors, 148 of 1,234 in 60 s; at most 5.00% may be"
    )


def test_boards_say_how_the_champion_does_and_how_it_agrees_with_the_canary() -> None:
    linear, old = {"model": "linear", "version": "9f2c"}, {"model": "old", "version": "77aa"}
    forest = {"model": "forest", "version": "1234"}
    policy = Policy(
        endpoint="diabetes",
        revision=1,
        contenders=(
            Contender(**linear, role=Role.CHAMPION),
            Contender(**forest, role=Role.CHALLENGER),
            Contender(**old, role=Role.CANARY),
        ),
        deadline_ms=100,
        schedule=(),
    )
    boards = {
        series(name, **labels): (value,)
        for name, labels, value in [
            ("scored", linear, 90), ("errors", linear, 10), ("late", linear, 7), ("scored", forest, 1000),
            ("errors", forest, 500), ("compared", forest, 50), ("agreed", forest, 1), ("compared", old, 80),
            ("agreed", old, 60), ("answered", {}, 100), ("defaulted", {}, 3),
        ]
    }  # fmt: skip
    wanted = Counts(scored=100, errors=10, late=7, answered=100, defaults=3, compared=80, disagreed=20)
    assert counted(boards, policy) == wanted
    assert counted({}, policy) == Counts()


def series(name: str, **labels: str) -> Series:
    return Series("counter", name, tuple(sorted(labels.items())))


def test_a_window_forgets_what_is_older_than_it() -> None:
    window = Window(60)
    assert window.add(0, Counts(scored=1000, errors=900)) == Counts()
    assert window.add(30, Counts(scored=1100, errors=900)) == Counts(scored=100)
    assert window.add(61, Counts(scored=1200, errors=910)) == Counts(scored=200, errors=10)
    assert window.add(95, Counts(scored=1300, errors=910)) == Counts(scored=200, errors=10)
    assert window.add(1000, Counts(scored=1300, errors=910)) == Counts()


def test_a_counter_that_fell_begins_the_window_anew() -> None:
    window = Window(60)
    window.add(0, Counts(scored=1000, errors=10))
    assert window.add(1, Counts(scored=50, errors=1)) == Counts()
    assert window.add(2, Counts(scored=60, errors=3)) == Counts(scored=10, errors=2)


@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=40),
    st.integers(1, 60),
)
def test_a_window_holds_what_came_since_the_last_reading_before_it(
    steps: list[tuple[int, int, int]], seconds: int
) -> None:
    window, at, scored, late = Window(seconds), 0, 0, 0
    readings: list[tuple[int, Counts]] = []
    for pause, more, more_late in steps:
        at, scored, late = at + pause, scored + more, late + more_late
        readings.append((at, Counts(scored=scored, late=late)))
        old = [counts for then, counts in readings if then <= at - seconds]
        begin = old[-1] if old else readings[0][1]
        wanted = Counts(scored=scored - begin.scored, late=late - begin.late)
        assert window.add(*readings[-1]) == wanted
