"""How fast a process is started again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from podium.node.keeper import Pace


def test_a_process_that_was_steady_is_started_again_at_once() -> None:
    assert Pace().pause(0) == 0.0


def test_short_lives_are_followed_by_pauses_that_double() -> None:
    assert [Pace().pause(failures) for failures in (1, 2, 3, 6, 7)] == [0.2, 0.4, 0.8, 6.4, 10.0]


@given(st.integers(0, 10**9))
def test_no_pause_is_longer_than_the_longest(failures: int) -> None:
    assert 0 <= Pace().pause(failures) <= Pace().pause(failures + 1) <= 10.0
