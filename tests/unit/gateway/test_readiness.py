"""By whom a gateway must have heard before it takes requests."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from podium.gateway.readiness import CHAMPION_SECONDS, awaited_of
from podium.records import Contender, Policy, Role

LINEAR = Contender(model="linear", version="9f2c1ab04d5e", number=1, role=Role.CHAMPION)
FOREST = Contender(model="forest", version="0a1b2c3d4e5f", number=2, role=Role.CHALLENGER)
REFERENCE = Contender(model="reference", version="aaaa2c3d4e5f", number=3, role=Role.CANARY)
POLICY = Policy(
    endpoint="diabetes",
    revision=1,
    contenders=(LINEAR, FOREST, REFERENCE),
    deadline_ms=100.0,
    schedule=((0.0, ("champion",)), (60.0, ("champion", "challenger")), (100.0, ("canary",))),
)
ALL = {contender.name for contender in POLICY.contenders}


def test_a_silent_challenger_keeps_nobody_out_of_service() -> None:
    assert awaited_of(POLICY, ALL - {LINEAR.name}, 0.0) == []


@pytest.mark.parametrize("others", [set(), {FOREST.name}, {FOREST.name, REFERENCE.name}])
def test_the_champion_is_awaited_first(others: set[str]) -> None:
    assert awaited_of(POLICY, {LINEAR.name, *others}, 0.0) == [LINEAR.name]


def test_a_champion_that_stays_silent_is_not_awaited_for_ever() -> None:
    assert awaited_of(POLICY, {LINEAR.name}, CHAMPION_SECONDS) == []


def test_then_somebody_must_answer_whom_the_schedule_accepts_in_time() -> None:
    silent = {LINEAR.name, FOREST.name}  # the canary answers, and is accepted only when it is too late
    assert awaited_of(POLICY, silent, CHAMPION_SECONDS) == [LINEAR.name, FOREST.name]


def test_a_champion_that_the_schedule_does_not_accept_is_not_awaited() -> None:
    without = replace(POLICY, schedule=((0.0, ("forest",)),))
    assert awaited_of(without, {LINEAR.name}, 0.0) == []
    assert awaited_of(without, {FOREST.name}, 0.0) == [FOREST.name]
