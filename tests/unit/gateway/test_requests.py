"""Requests, alone and in groups."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.unit.workers.stage import FOREST, LINEAR

from podium.gateway.lineup import Lineup
from podium.gateway.requests import Group, IdSource, Request, groups_of
from podium.records import Answer, Policy, Role
from podium.rendezvous.schedule import Accept
from podium.validation import Rows

POLICY = Policy(
    endpoint="diabetes",
    revision=1,
    contenders=(LINEAR, FOREST),
    deadline_ms=100.0,
    schedule=((0.0, ("champion",)), (60.0, ("challenger",))),
)
LINE = Lineup(POLICY)
LOOP = asyncio.new_event_loop()
LOOP.close()
ANSWER = Answer("1", {"y": [1.0]}, slice(0, 1), "linear", "9f2c1ab04d5e", "champion", 1.0)


def request(began: float = 0.0, **wishes: Any) -> Request:
    return Request(Rows([(1.0,)], 1, True), LOOP.create_future(), began, id="1", **wishes)


def places(groups: list[Group]) -> list[list[int]]:
    return [list(group.places) for group in groups]


def test_requests_that_ask_for_nothing_of_their_own_are_one_group() -> None:
    assert places(groups_of([request() for _ in range(3)], LINE)) == [[0, 1, 2]]


def test_who_forces_a_contender_or_is_in_a_hurry_is_alone() -> None:
    requests = [request(), request(forced=FOREST), request(), request(deadline=10.0)]
    groups = groups_of(requests, LINE)
    assert places(groups) == [[1], [3], [0, 2]]
    assert [group.mailbox.forced for group in groups] == [FOREST, None, None]
    assert [group.mailbox.deadline for group in groups] == [100.0, 10.0, 100.0]


def test_requests_in_a_share_are_a_group_that_prefers_its_contender() -> None:
    half = replace(FOREST, share=0.5)
    line = Lineup(replace(POLICY, contenders=(LINEAR, half)))
    requests = [request(key=f"customer {n}") for n in range(100)]
    groups = groups_of(requests, line)
    assert sorted(place for group in groups for place in group.places) == list(range(100))
    assert {group.mailbox.preferred for group in groups} == {None, half}
    for group in groups:
        for place in group.places:
            assert line.preferred(f"customer {place}") == group.mailbox.preferred


def test_who_forces_a_contender_is_in_no_share() -> None:
    line = Lineup(replace(POLICY, contenders=(LINEAR, replace(FOREST, share=1.0))))
    (group,) = groups_of([request(forced=LINEAR)], line)
    assert (group.mailbox.forced, group.mailbox.preferred) == (LINEAR, None)


def test_a_forced_contender_is_who_it_is_in_the_line_up_that_the_frame_goes_to() -> None:
    promoted = replace(FOREST, role=Role.CHAMPION)
    line = Lineup(replace(POLICY, contenders=(replace(LINEAR, role=Role.CHALLENGER), promoted)))
    (group,) = groups_of([request(forced=FOREST)], line)
    assert group.mailbox.forced == promoted


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=5))
def test_no_request_of_a_group_waits_past_its_deadline_or_gets_a_score_before_its_time(
    arrivals: list[float],
) -> None:
    (group,) = groups_of([request(began) for began in arrivals], LINE)
    assert group.deadline <= max(min(arrivals) + 0.1, *arrivals) + 1e-9
    for began in arrivals:
        assert group.waited(began + 0.06) <= 60.0 + 1e-6


def test_a_group_that_parts_keeps_the_scores_that_it_has() -> None:
    (group,) = groups_of([request() for _ in range(3)], LINE)
    group.mailbox.post(FOREST, True, 1.0)
    failed, others = group.parted([1])
    assert (places([failed, others]), len(failed.requests)) == ([[1], [0, 2]], 1)
    failed.mailbox.post(LINEAR, False, 2.0)
    assert others.mailbox.post(LINEAR, True, 2.0) == Accept(LINEAR, "champion")
    assert failed.mailbox.look(60.0) == Accept(FOREST, "challenger")


async def test_an_answer_for_a_caller_that_has_gone_is_dropped() -> None:
    future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    gone = Request(Rows([(1.0,)], 1, True), future, 0.0, id="1")
    future.cancel()
    gone.succeed(ANSWER)
    gone.fail(RuntimeError())
    assert future.cancelled()


async def test_only_the_first_outcome_counts() -> None:
    future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    answered = Request(Rows([(1.0,)], 1, True), future, 0.0, id="1")
    answered.succeed(ANSWER)
    answered.fail(RuntimeError())
    assert await future is ANSWER


# --- ids --------------------------------------------------------------------------------------


def test_ids_are_uuids_of_version_7_with_the_time_in_front() -> None:
    source = IdSource()
    before = time.time_ns() // 1_000_000
    found = [uuid.UUID(source.next()) for _ in range(1000)]
    after = time.time_ns() // 1_000_000
    assert len(set(found)) == 1000
    assert {(id.version, id.variant) for id in found} == {(7, uuid.RFC_4122)}
    assert all(before <= id.int >> 80 <= after for id in found)


@pytest.mark.parametrize("count", [129, 10_000])
def test_two_processes_do_not_make_the_same_ids(count: int) -> None:
    one, other = IdSource(), IdSource()
    assert len({source.next() for _ in range(count) for source in (one, other)}) == 2 * count
