"""One timer for all who wait."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tests.unit.workers.stage import LINEAR

from podium.gateway.alarms import Alarms
from podium.gateway.flights import Flight
from podium.gateway.requests import Group
from podium.records import Policy
from podium.rendezvous.mailbox import Mailbox
from podium.rendezvous.schedule import Schedule

SCHEDULE = Schedule(
    Policy(
        endpoint="diabetes",
        revision=1,
        contenders=(LINEAR,),
        deadline_ms=100.0,
        schedule=((0.0, ("champion",)),),
    )
)


def group() -> Group:
    return Group(Mailbox(SCHEDULE), [], [], 0.0)


FLIGHT: Any = object.__new__(Flight)  # alarms only hand it back


async def due(alarms: Alarms, count: int) -> list[Group]:
    found: list[Group] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += [group for _, group in await alarms.due()]
    return found


async def test_everybody_is_due_at_the_time_that_was_set_and_not_before() -> None:
    alarms, now = Alarms(), time.monotonic()
    times = {group(): now + delay for delay in (0.03, 0.01, 0.02, 0.0, -1.0)}
    for each, when in times.items():
        alarms.set(when, FLIGHT, each)
    for each in await due(alarms, len(times)):
        assert time.monotonic() >= times.pop(each) - 0.001
    assert not times


async def test_who_is_set_later_but_due_earlier_does_not_wait_for_the_others() -> None:
    alarms, patient, hurried = Alarms(), group(), group()
    alarms.set(time.monotonic() + 3600, FLIGHT, patient)
    alarms.set(time.monotonic() + 0.01, FLIGHT, hurried)
    assert await due(alarms, 1) == [hurried]


async def test_who_was_decided_meanwhile_is_not_due_any_more() -> None:
    alarms, decided, waiting = Alarms(), group(), group()
    for each in (decided, waiting):
        alarms.set(time.monotonic() + 0.01, FLIGHT, each)
    decided.mailbox.post(LINEAR, True, 1.0)
    assert await due(alarms, 1) == [waiting]
