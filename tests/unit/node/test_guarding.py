"""Guards of a live policy: when they act, and where they go back to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from podium.counters import Board
from podium.node.guarding import Guarding, guarded
from podium.records import Contender, Guards, Policy, Role
from podium.rendezvous.changes import joined, promoted
from podium.streams.memory_policies import MemoryPolicyStore, MemoryShelf

PATIENCE = 10.0
LINEAR = Contender(model="linear", version="9f2c1ab04d5e", number=1, role=Role.CHAMPION)
FOREST = Contender(model="forest", version="0a1b2c3d4e5f", number=1, role=Role.CHALLENGER)
POLICY = Policy(
    endpoint="diabetes",
    revision=1,
    contenders=(LINEAR, FOREST),
    deadline_ms=100.0,
    schedule=((0.0, ("champion",)),),
    guards=Guards(errors=0.05, requests=100),
)
SHARED = joined(POLICY, replace(FOREST, share=0.1))
PROMOTED = promoted(SHARED, "forest")


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.01)


def test_a_guard_goes_back_to_another_champion_and_gives_the_bad_one_no_share() -> None:
    back = guarded(PROMOTED, [POLICY, SHARED, PROMOTED])
    assert back is not None
    assert (back.revision, back.restores) == (4, 2)
    assert back.champion == LINEAR
    assert [contender.share for contender in back.contenders] == [None, None]


def test_a_guard_brings_back_nobody_who_does_not_run() -> None:
    gone = Contender(model="old", version="5e5e5e5e5e5e", number=1, role=Role.CHALLENGER)
    first = replace(POLICY, contenders=(LINEAR, FOREST, gone))
    back = guarded(replace(PROMOTED, revision=2), [first, replace(PROMOTED, revision=2)])
    assert back is not None
    assert gone not in back.contenders


def test_a_guard_leaves_the_default_answer_as_it_is() -> None:
    before = replace(SHARED, default={"risk": 1.0})  # of other outputs than the endpoint has now
    now = replace(PROMOTED, default={"progression": 1.0})
    back = guarded(now, [POLICY, before, now])
    assert back is not None
    assert back.default == {"progression": 1.0}


def test_a_guard_keeps_the_live_schedule_where_the_older_one_names_who_is_gone() -> None:
    gone = Contender(model="old", version="5e5e5e5e5e5e", number=1, role=Role.CHALLENGER)
    named = ((0.0, ("champion", "old")),)
    first = replace(POLICY, contenders=(LINEAR, FOREST, gone), schedule=named)
    back = guarded(replace(PROMOTED, revision=2), [first, replace(PROMOTED, revision=2)])
    assert back is not None
    assert back.schedule == PROMOTED.schedule
    kept = guarded(
        replace(PROMOTED, revision=2), [replace(POLICY, schedule=((5.0, ("champion",)),)), PROMOTED]
    )
    assert kept is not None
    assert kept.schedule == ((5.0, ("champion",)),)


def test_there_is_nothing_to_go_back_to_where_the_champion_was_always_the_same() -> None:
    assert guarded(POLICY, [POLICY]) is None
    assert guarded(SHARED, [POLICY, SHARED]) is None


async def test_a_breach_becomes_a_revision_that_says_why(tmp_path: Path) -> None:
    shelf = MemoryShelf()
    store = MemoryPolicyStore(shelf)
    for policy in (POLICY, SHARED, PROMOTED):
        await store.write(policy)
    labels = {"model": "forest", "version": FOREST.version}
    with Board(tmp_path / "worker.board") as board:
        board.counter("scored", **labels).add(1000)
        board.counter("errors", **labels).add(500)  # of before: not this revision's
        async with Guarding(PROMOTED, tmp_path, store) as guarding:
            await store.follow(guarding.follow)
            await asyncio.sleep(0.7)
            board.counter("scored", **labels).add(150)
            await asyncio.sleep(0.7)
            assert shelf.newest == PROMOTED
            board.counter("errors", **labels).add(20)
            await until(lambda: shelf.newest != PROMOTED)
    newest = shelf.newest
    assert newest is not None
    assert (newest.revision, newest.restores, newest.author) == (4, 2, "guard")
    assert "of the champion's scores are errors, 20 of 170" in newest.reason
    assert newest.champion == LINEAR


async def test_a_guard_that_has_acted_does_not_act_again_on_the_same_evidence(tmp_path: Path) -> None:
    shelf = MemoryShelf()
    store = MemoryPolicyStore(shelf)
    for policy in (POLICY, SHARED, PROMOTED):
        await store.write(policy)
    with Board(tmp_path / "worker.board") as board:
        async with Guarding(PROMOTED, tmp_path, store) as guarding:
            await store.follow(guarding.follow)
            await asyncio.sleep(0.7)
            board.counter("errors", model="forest", version=FOREST.version).add(200)
            await until(lambda: shelf.newest != PROMOTED)
            await asyncio.sleep(1.5)
    assert shelf.newest is not None
    assert shelf.newest.revision == 4
