"""Who is let in, as whom, how often, and what is counted of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.callers import Key, Rate, new_token
from podium.counters import Board, read, total
from podium.errors import OverRate, UnknownCaller
from podium.gateway import callers
from podium.gateway.callers import LABELLED, Bucket, Callers, token_of
from podium.run import key_digest

TOKEN = new_token()


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with Board(tmp_path / "test.board") as board:
        yield board


def key(token: str = TOKEN, name: str = "powerbi", **fields: Any) -> Key:
    return Key(digest=key_digest(token), name=name, created=1, **fields)


def let_in(found: Callers, token: str = TOKEN) -> str | None:
    return found.let_in({"x-api-key": token})


def counted(board: Board, name: str, **labels: str) -> int:
    return total(read(board.path), name, **labels)


# --- who --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {TOKEN}"},
        {"authorization": f"bearer  {TOKEN} "},
        {"x-api-key": TOKEN},
        {"authorization": "Bearer of-a-proxy", "x-api-key": TOKEN},
        {"authorization": f"Bearer {TOKEN}", "x-api-key": "of-a-proxy"},
    ],
)
def test_a_key_is_found_in_either_header_beside_what_is_somebody_elses(headers: dict[str, str]) -> None:
    assert token_of(headers) == TOKEN


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer of-a-proxy"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": TOKEN},
        {"x-api-key": "of-a-proxy"},
        {"podium-key": TOKEN},
    ],
)
def test_what_is_no_key_of_podiums_is_none(headers: dict[str, str]) -> None:
    assert token_of(headers) is None


def test_whoever_has_a_key_is_called_by_its_name(board: Board) -> None:
    for required in (False, True):
        found = Callers(board, required=required)
        found.follow(key())
        assert let_in(found) == "powerbi"


def test_without_a_key_a_request_is_anonymous_and_counted_so(board: Board) -> None:
    found = Callers(board, required=False)
    assert found.let_in({}) is None
    assert found.let_in({"authorization": "Bearer of-a-proxy"}) is None
    assert counted(board, "caller_requests", caller="anonymous") == 2


def test_where_keys_are_required_nobody_is_anonymous(board: Board) -> None:
    found = Callers(board, required=True)
    with pytest.raises(UnknownCaller, match=r"without a key: send `Authorization: Bearer podium_…`"):
        found.let_in({})
    assert counted(board, "caller_requests") == 0


@pytest.mark.parametrize("required", [False, True])
def test_a_wrong_key_is_refused_also_where_none_is_needed(board: Board, required: bool) -> None:
    found = Callers(board, required=required)
    found.follow(key())
    wrong = new_token()
    with pytest.raises(UnknownCaller) as refused:
        let_in(found, wrong)
    assert wrong not in str(refused.value)


# --- what becomes of keys ---------------------------------------------------------------------


def test_a_revoked_key_is_refused_for_good_also_if_older_news_come_late(board: Board) -> None:
    found = Callers(board, required=True)
    found.follow(key())
    assert let_in(found) == "powerbi"
    found.follow(key(revoked=2))
    for _ in range(2):
        with pytest.raises(UnknownCaller, match="revoked"):
            let_in(found)
        found.follow(key())


def test_a_caller_may_have_two_keys_and_loses_only_the_one_that_is_revoked(board: Board) -> None:
    second = new_token()
    found = Callers(board, required=True)
    for each in (key(), key(second), key(revoked=2)):
        found.follow(each)
    assert let_in(found, second) == "powerbi"
    with pytest.raises(UnknownCaller):
        let_in(found)
    assert counted(board, "caller_requests", caller="powerbi") == 1


def test_hearing_of_a_key_again_does_not_fill_its_bucket(board: Board) -> None:
    found = Callers(board, required=True)
    limited = key(rate=Rate(requests=1, seconds=3600))
    found.follow(limited)
    let_in(found)
    found.follow(limited)
    with pytest.raises(OverRate):
        let_in(found)


def test_each_change_moves_the_gauge_by_which_commands_see_that_it_is_known(board: Board) -> None:
    found = Callers(board, required=True)
    seen = []
    for each in (key(), key(new_token()), key(), key(revoked=2), key(), key(new_token(), revoked=2)):
        found.follow(each)
        seen.append(counted(board, "keys_followed"))
    assert seen == [1, 2, 2, 3, 3, 5]


# --- how often --------------------------------------------------------------------------------


def test_over_its_rate_a_caller_is_told_when_to_come_again(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(callers.time, "monotonic", lambda: now)
    found = Callers(board, required=True)
    found.follow(key(rate=Rate(requests=2, seconds=60)))
    assert [let_in(found), let_in(found)] == ["powerbi", "powerbi"]
    with pytest.raises(OverRate, match="powerbi's key lets in 2/m; try again in 30 s") as refused:
        let_in(found)
    assert refused.value.seconds == 30
    now += 30.0
    assert let_in(found) == "powerbi"
    assert counted(board, "caller_requests", caller="powerbi") == 3
    assert counted(board, "caller_limited", caller="powerbi") == 1


def test_one_callers_rate_is_nobody_elses(board: Board) -> None:
    other = new_token()
    found = Callers(board, required=True)
    found.follow(key(rate=Rate(requests=1, seconds=3600)))
    found.follow(key(other, "excel"))
    let_in(found)
    with pytest.raises(OverRate):
        let_in(found)
    assert [let_in(found, other) for _ in range(3)] == ["excel"] * 3


rates = st.builds(Rate, requests=st.integers(1, 1000), seconds=st.sampled_from([1, 60, 3600]))


@given(rates, st.lists(st.floats(0.0, 100.0), min_size=1, max_size=200))
def test_in_no_stretch_of_time_a_bucket_lets_in_more_than_it_holds_and_gets(
    rate: Rate, pauses: list[float]
) -> None:
    bucket, now, times = Bucket(rate), 50.0, []
    for pause in pauses:
        now += pause
        if not bucket.take(now):
            times.append(now)
    for first, began in enumerate(times):
        for last in range(first, len(times)):
            most = rate.requests * (1 + (times[last] - began) / rate.seconds)
            assert last - first + 1 <= most + 1e-6


@given(rates, st.integers(1, 100))
def test_whoever_waits_as_long_as_told_is_let_in_and_not_before(rate: Rate, more: int) -> None:
    bucket, now = Bucket(rate), 50.0
    assert [bucket.take(now) for _ in range(rate.requests)] == [0.0] * rate.requests
    for _ in range(more):
        wait = bucket.take(now)
        assert wait > 0
        assert bucket.take(now + 0.9 * wait) > 0
        now += wait
        assert bucket.take(now) == 0.0


# --- what is counted --------------------------------------------------------------------------


def test_metrics_tell_a_bounded_number_of_callers_apart(board: Board) -> None:
    found = Callers(board, required=True)
    tokens = [new_token() for _ in range(LABELLED + 50)]
    for number, token in enumerate(tokens):
        found.follow(key(token, f"caller-{number}"))
    assert [let_in(found, token) for token in tokens] == [f"caller-{n}" for n in range(len(tokens))]
    assert counted(board, "caller_requests", caller="others") == 50
    assert len(labels(board)) == LABELLED + 2


def test_those_are_the_same_callers_after_another_start_though_some_are_revoked(board: Board) -> None:
    found = Callers(board, required=True)
    for number in range(LABELLED + 50):
        found.follow(key(new_token(), f"caller-{number}", revoked=2 if number < 50 else None))
    assert labels(board) == {"anonymous", "others", *(f"caller-{n}" for n in range(50, LABELLED))}


def labels(board: Board) -> set[str]:
    return {each.label("caller") for each in read(board.path) if each.name == "caller_requests"}
