"""Whether there is a request: the tables know, and of what is not in them yet the stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from podium.archive import lookups as lookups_module
from podium.archive.entries import Door
from podium.archive.lookups import Lookups
from podium.archive.tables import Tables
from podium.protocol.frames import FoundFrame, Frame, LookupFrame, Reader, encode
from podium.streams.memory import MemoryBroker, MemoryStream

from .traffic import ENDPOINT, INPUTS, OUTPUTS, Process

PATIENCE = 20.0
DAY = date(2026, 11, 23)


class Scene:
    """A stream, its tables, and how far they have come; somebody asks."""

    def __init__(self, stream: MemoryStream, archive: str) -> None:
        self.stream = stream
        self.tables = Tables(archive, ENDPOINT, INPUTS, OUTPUTS)
        self.position = 0
        self._door = Door(ENDPOINT, INPUTS, OUTPUTS)
        self._found: asyncio.Queue[FoundFrame] = asyncio.Queue()
        self._asked = 0

    async def listen(self) -> None:
        def receive(payload: bytes) -> None:
            self._found.put_nowait(Reader(FoundFrame).read(payload))

        await self.stream.subscribe("found.me", receive)

    async def publish(self, *frames: Frame) -> None:
        for frame in frames:
            self.stream.publish("input", encode(frame))

    async def archive(self) -> None:
        """Everything that the stream holds, into the tables."""
        kept = await self.stream.read(self.position, 1000, 0.0)
        self.tables.append([self._door.admit(each.position, each.payload) for each in kept], DAY)
        self.position = kept[-1].position

    async def ask(self, *ids: str) -> None:
        self._asked += 1
        frame = LookupFrame(
            endpoint=ENDPOINT, revision=3, source="me", seq=self._asked, reply="found.me", ids=list(ids)
        )
        self.stream.publish("lookup", encode(frame))

    async def answer(self) -> tuple[int, Sequence[int | None]]:
        """Which question it is the answer to, and the rows of each request."""
        async with asyncio.timeout(PATIENCE):
            found = await self._found.get()
        assert found.origin == "me"
        return found.frame, found.rows

    @property
    def silent(self) -> bool:
        return self._found.empty()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with MemoryStream(MemoryBroker()) as stream:
        scene = Scene(stream, str(tmp_path))
        await scene.listen()
        lookups = Lookups(stream, archive=str(tmp_path), endpoint=ENDPOINT, position=lambda: scene.position)
        async with lookups:
            yield scene


async def test_a_request_in_the_tables_is_there_with_all_its_rows(scene: Scene) -> None:
    scene.tables.create()
    await scene.publish(Process().input(["a", "it's b"], rows=[1, 3]))
    await scene.archive()
    await scene.ask("it's b", "a")
    assert await scene.answer() == (1, [3, 1])


async def test_what_is_in_neither_tables_nor_stream_is_not_there(scene: Scene) -> None:
    scene.tables.create()
    await scene.ask("a", "' OR 1=1 --")
    assert await scene.answer() == (1, [0, 0])


async def test_a_request_that_is_only_in_the_stream_is_waited_for(scene: Scene) -> None:
    scene.tables.create()
    await scene.publish(Process("gateway-1").input(["old"]))
    await scene.archive()
    await scene.publish(Process("gateway-2").input(["new"]))
    await scene.ask("new", "nobody")
    await asyncio.sleep(4 * lookups_module.POLL_SECONDS)
    assert scene.silent
    await scene.ask("old")
    assert await scene.answer() == (2, [1]), "who asks for what is there does not wait"
    await scene.archive()
    assert await scene.answer() == (1, [1, 0])


async def test_where_the_tables_stay_behind_nobody_knows(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups_module, "BEHIND_SECONDS", 0.1)
    scene.tables.create()
    await scene.publish(Process("gateway-1").input(["old"]))
    await scene.archive()
    await scene.publish(Process("gateway-2").input(["new"]))
    await scene.ask("old", "new", "nobody")
    assert await scene.answer() == (1, [1, None, None])


async def test_where_the_tables_cannot_be_read_nobody_knows_and_the_next_one_is_told(scene: Scene) -> None:
    await scene.ask("a")
    assert await scene.answer() == (1, [None])
    scene.tables.create()
    await scene.publish(Process().input(["a"]))
    await scene.archive()
    await scene.ask("a")
    assert await scene.answer() == (2, [1])


async def test_more_ids_than_fit_one_query_are_found(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups_module, "IDS_PER_QUERY", 3)
    names = [f"r{n}" for n in range(8)]
    scene.tables.create()
    await scene.publish(Process().input(names))
    await scene.archive()
    await scene.ask(*names, "r8")
    assert await scene.answer() == (1, [1] * 8 + [0])


@pytest.mark.parametrize("junk", [b"", b"hello", encode(Process().input(["a"]))])
async def test_what_is_no_question_is_passed_over(scene: Scene, junk: Any) -> None:
    scene.tables.create()
    scene.stream.publish("lookup", junk)
    await scene.ask("a")
    assert await scene.answer() == (1, [0])
