"""When a call is tried again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from podium.client.retries import AGAIN, FIRST_SECONDS, MOST_SECONDS, Tries, retry_after
from podium.client.wire import Reply
from podium.errors import Unreachable

GONE = Unreachable("gone")
NOON = "Tue, 24 Nov 2026 12:00:00 GMT"


def said(status: int, **headers: str) -> Reply:
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, b"", True)


@given(st.integers(200, 599).filter(lambda status: status not in AGAIN))
def test_an_answer_and_a_refusal_that_is_meant_are_final(status: int) -> None:
    assert Tries(0.0, 10.0).pause(said(status, retry_after="1"), 0.0) is None


@given(st.floats(0, 1), st.lists(st.sampled_from([GONE, *map(said, AGAIN)]), max_size=20))
def test_pauses_grow_up_to_a_bound_and_never_pass_the_end(
    dice: float, met: list[Reply | Unreachable]
) -> None:
    tries, now = Tries(0.0, 30.0, dice=lambda: dice), 0.0
    for each in met:
        pause = tries.pause(each, now)
        if pause is None:
            assert now + MOST_SECONDS >= 30.0
            return
        assert FIRST_SECONDS / 2 <= pause <= MOST_SECONDS
        now += pause
        assert now < 30.0


def test_the_gateway_says_when_to_come_back() -> None:
    pause = Tries(0.0, 10.0).pause(said(503, retry_after="4"), 0.0)
    assert pause is not None
    assert 4 <= pause <= 4 + FIRST_SECONDS


def test_who_would_have_to_wait_beyond_the_end_does_not_wait() -> None:
    assert Tries(0.0, 10.0).pause(said(503, retry_after="4"), 6.0) is None


def test_a_date_is_told_from_the_replys_own() -> None:
    assert retry_after({"retry-after": "Tue, 24 Nov 2026 12:00:05 GMT", "date": NOON}) == 5.0
    assert retry_after({"retry-after": NOON, "date": "Tue, 24 Nov 2026 12:00:05 GMT"}) == 0.0


def test_what_is_neither_number_nor_date_asks_for_nothing() -> None:
    for headers in ({}, {"retry-after": "soon"}, {"retry-after": NOON}, {"retry-after": "-1"}):
        assert retry_after(headers) == 0.0
