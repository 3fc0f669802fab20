"""Outcomes on their way in: checked, looked up in real tables, and kept; or refused, and nothing is kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.unit.archive.traffic import Process
from tests.unit.gateway.world import World, run
from tests.unit.workers.stage import INPUTS, PATIENCE, until

from podium.archive import lookups as lookups_module
from podium.archive.entries import Door
from podium.archive.lookups import Lookups
from podium.archive.tables import Tables
from podium.counters import Board
from podium.errors import InvalidInput, Stopping, StreamAway, TooManyRequests, UnknownRequest
from podium.gateway import outcomes as outcomes_module
from podium.gateway.outcomes import Outcomes, Taken
from podium.protocol.frames import FoundFrame, LookupFrame, OutcomesFrame, Reader, encode, unpack
from podium.schema import Field, Kind, Schema
from podium.streams.memory import MemoryBroker, MemoryStream

OUTPUTS = Schema((Field(name="y", type=Kind.FLOAT), Field(name="grade", type=Kind.STRING)))
NOON = "2025-11-24T12:00:00Z"
NOON_MICROS = 1_763_985_600_000_000
LATE = 1 << 60


class Scene:
    """A gateway's part; an archive with `one` (a row) and `three` (three rows), and its archiver's part."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        told = msgspec.structs.replace(run(), outputs=OUTPUTS)
        self.outcomes = Outcomes(told, world.stream, world.board, revision=lambda: 3)
        self.position = LATE
        self.lookups = Lookups(
            world.stream, archive=str(folder), endpoint="diabetes", position=lambda: self.position
        )
        self._tables = Tables(str(folder), "diabetes", INPUTS, OUTPUTS)

    def fill(self) -> None:
        self._tables.create()
        door = Door("diabetes", INPUTS, OUTPUTS)
        sent = Process().input(["one", "three"], {"x": np.ones(4)}, rows=[1, 3])
        self._tables.append([door.admit(1, encode(sent))], date(2026, 11, 23))

    async def one(self, body: Any, id: str = "one", observed: str | None = None) -> Taken:
        async with asyncio.timeout(PATIENCE):
            return await self.outcomes.of_request(id, json.dumps(body).encode(), observed)

    async def many(self, *items: dict[str, Any]) -> Taken:
        async with asyncio.timeout(PATIENCE):
            return await self.outcomes.of_many(json.dumps(items).encode())

    @property
    def kept(self) -> list[OutcomesFrame]:
        return self.world.kept(OutcomesFrame)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    broker = MemoryBroker()
    async with AsyncExitStack() as stack:
        board = stack.enter_context(Board(tmp_path / "test.board"))
        stream = await stack.enter_async_context(MemoryStream(broker))
        scene = Scene(World(broker, stream, board), tmp_path / "archive")
        scene.fill()
        await stack.enter_async_context(scene.outcomes)
        await stack.enter_async_context(scene.lookups)
        yield scene


# --- taken ----------------------------------------------------------------------------------


async def test_an_outcome_is_kept_with_the_time_of_its_arrival(scene: Scene) -> None:
    taken = await scene.one({"y": 151})
    (frame,) = scene.kept
    assert (frame.ids, frame.numbers, frame.revision) == (["one"], None, 3)
    assert frame.observed == [taken.received] == [frame.done]
    assert {name: list(values) for name, values in unpack(frame.columns).items()} == {"y": [151.0]}
    assert taken.unchecked == 0
    assert scene.world.counted("outcomes") == 1


async def test_an_outcome_is_kept_with_the_time_that_the_caller_gives(scene: Scene) -> None:
    await scene.one({"y": 151}, observed=NOON)
    (frame,) = scene.kept
    assert frame.observed == [NOON_MICROS]
    assert frame.done > NOON_MICROS


async def test_the_rows_of_a_request_are_taken_as_a_list(scene: Scene) -> None:
    await scene.one([{"y": 1}, {"y": 2}, {"y": 3}], "three")
    (frame,) = scene.kept
    assert (frame.ids, frame.numbers) == (["three"] * 3, [0, 1, 2])


async def test_single_rows_are_taken_among_many(scene: Scene) -> None:
    taken = await scene.many(
        {"id": "three", "row": 2, "outcome": {"y": 3}, "observed": NOON},
        {"id": "one", "outcome": {"y": 1}},
        {"id": "three", "row": 1, "outcome": {"grade": "good"}},
    )
    numbers, grades = scene.kept
    assert (numbers.ids, numbers.numbers) == (["three", "one"], [2, 0])
    assert (grades.ids, grades.numbers, list(grades.columns)) == (["three"], [1], ["grade"])
    assert (len(taken.outcomes), taken.unchecked) == (3, 0)
    assert scene.world.counted("outcomes") == 3


async def test_of_two_corrections_one_is_the_later_even_within_a_microsecond(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes_module.time, "time_ns", lambda: NOON_MICROS * 1000)
    for value in range(3):
        await scene.one({"y": value})
    assert [frame.done for frame in scene.kept] == [NOON_MICROS, NOON_MICROS + 1, NOON_MICROS + 2]
    assert [frame.seq for frame in scene.kept] == [1, 2, 3]


# --- refused, and nothing is kept -----------------------------------------------------------

REFUSED: list[tuple[Any, str, str | None, str, str]] = [
    ({"yy": 1}, "one", None, "$.yy", "not an output"),
    ([{"y": 1}, {"y": 2}], "one", None, "$", "request 'one' has 1 row, this is 2 rows"),
    ({"y": 1}, "three", None, "$", "request 'three' has 3 rows, this is 1 row"),
    ([{"y": 1}] * 4, "three", None, "$", "has 3 rows, this is 4 rows"),
    ({"y": 1}, "one", "noon", "header podium-observed", "podium-observed is 'noon'"),
    ({"y": 1}, "one", "2999-01-01T00:00:00Z", "header podium-observed", "in the future"),
    ({"y": 1}, "one", "1969-12-31T23:59:59Z", "header podium-observed", "before 1970"),
]


@pytest.mark.parametrize(("body", "id", "observed", "path", "words"), REFUSED)
async def test_an_outcome_that_does_not_fit_is_refused_with_its_place(
    scene: Scene, body: Any, id: str, observed: str | None, path: str, words: str
) -> None:
    with pytest.raises(InvalidInput) as found:
        await scene.one(body, id, observed)
    assert found.value.path == path
    assert words in str(found.value)
    assert scene.kept == []


@pytest.mark.parametrize(
    ("item", "path", "words"),
    [
        ({"id": "three", "row": 3}, "$[1].row", "request 'three' has no row 3"),
        ({"id": "one", "row": 1}, "$[1].row", "request 'one' has no row 1"),
        ({"id": "three", "observed": "2999-01-01T00:00:00Z"}, "$[1].observed", "in the future"),
    ],
)
async def test_one_of_many_that_does_not_fit_refuses_all(
    scene: Scene, item: dict[str, Any], path: str, words: str
) -> None:
    with pytest.raises(InvalidInput) as found:
        await scene.many({"id": "one", "outcome": {"y": 1}}, {"outcome": {"y": 1}} | item)
    assert found.value.path == path
    assert words in str(found.value)
    assert scene.kept == []


@pytest.mark.parametrize("id", ["nobody", "größe", "a" * 201])
async def test_a_request_that_nobody_made_is_unknown(scene: Scene, id: str) -> None:
    with pytest.raises(UnknownRequest, match=r"no request .* on 'diabetes'") as found:
        await scene.one({"y": 1}, id)
    assert found.value.path == "path id"
    assert scene.kept == []


async def test_among_many_the_unknown_one_is_named_and_none_is_kept(scene: Scene) -> None:
    with pytest.raises(UnknownRequest, match="no request 'nobody'") as found:
        await scene.many({"id": "one", "outcome": {"y": 1}}, {"id": "nobody", "outcome": {"y": 1}})
    assert found.value.path == "$[1].id"
    assert scene.kept == []


# --- nobody can say -------------------------------------------------------------------------


async def test_while_the_archive_is_behind_an_outcome_is_taken_on_trust(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups_module, "BEHIND_SECONDS", 0.05)
    scene.world.stream.publish("input", b"not archived yet")
    scene.position = 0
    assert (await scene.one({"y": 1}, "just now")).unchecked == 1
    taken = await scene.many({"id": "one", "outcome": {"y": 1}}, {"id": "just now", "outcome": {"y": 2}})
    assert taken.unchecked == 1
    assert len(scene.world.broker.read(0, 10)) == 3


async def test_without_an_archiver_an_outcome_is_taken_on_trust(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes_module, "LOOKUP_SECONDS", 0.05)
    await scene.lookups.__aexit__(None, None, None)
    assert (await scene.one({"y": 1})).unchecked == 1
    assert [frame.ids for frame in scene.kept] == [["one"]]
    await scene.lookups.__aenter__()


async def test_an_archiver_that_is_silent_is_not_waited_for_again_until_it_speaks(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes_module, "LOOKUP_SECONDS", 0.05)
    await scene.lookups.__aexit__(None, None, None)
    await scene.one({"y": 1})
    monkeypatch.setattr(outcomes_module, "LOOKUP_SECONDS", 2 * PATIENCE)
    assert (await scene.one({"y": 2})).unchecked == 1, "it does not wait so long once more"
    await scene.lookups.__aenter__()
    assert (await scene.one({"y": 3})).unchecked == 0


@pytest.mark.parametrize("rows", [[], [1, 1]])
async def test_an_answer_of_another_length_says_nothing(scene: Scene, rows: list[int | None]) -> None:
    await scene.lookups.__aexit__(None, None, None)

    def answer(payload: bytes) -> None:
        asked = Reader(LookupFrame).read(payload)
        found = FoundFrame(
            endpoint="diabetes",
            revision=3,
            source="x",
            seq=0,
            origin=asked.source,
            frame=asked.seq,
            rows=rows,
        )
        scene.world.stream.publish(asked.reply, encode(found))

    await scene.world.stream.subscribe("lookup", answer)
    assert (await scene.one({"y": 1})).unchecked == 1
    await scene.lookups.__aenter__()


# --- not now --------------------------------------------------------------------------------


async def test_while_the_stream_is_away_outcomes_are_refused(scene: Scene) -> None:
    scene.world.broker.crash()
    with pytest.raises(StreamAway):
        await scene.one({"y": 1})
    scene.world.broker.start()


async def test_more_at_once_than_the_limit_are_refused_and_room_comes_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes_module, "CHECKED_AT_ONCE", 2)
    asked = await asyncio.gather(*(scene.one({"y": n}) for n in range(5)), return_exceptions=True)
    assert [type(each) for each in asked] == [Taken] * 2 + [TooManyRequests] * 3
    await scene.one({"y": 1})


async def test_stopping_takes_nothing_new_and_finishes_what_is_being_looked_up(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups_module, "BEHIND_SECONDS", 0.1)
    scene.world.stream.publish("input", b"not archived yet")
    scene.position = 0
    asked = asyncio.create_task(scene.one({"y": 1}, "just now"))
    await until(lambda: scene.outcomes._taking == 1)
    draining = asyncio.create_task(scene.outcomes.drain(PATIENCE))
    await until(lambda: scene.outcomes.stopping)
    with pytest.raises(Stopping):
        await scene.one({"y": 1})
    await draining
    assert asked.done()
    assert (await asked).unchecked == 1
