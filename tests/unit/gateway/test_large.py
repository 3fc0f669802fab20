"""Inputs that are too large for a message, from the request to every contender, and room for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from tests.unit.gateway.world import World, ask, said
from tests.unit.workers.stage import FOREST, LINEAR, PATIENCE, times, until

from podium.counters import Board
from podium.errors import StoreFull, StreamAway, TooLarge, TooManyRequests
from podium.gateway.large import COUNTED_BYTES, Room
from podium.gateway.predict import Predictor
from podium.protocol.frames import InputFrame, ScoresFrame, digest
from podium.records import Answer
from podium.run import Large
from podium.streams.memory import MemoryBroker, MemoryStream
from podium.streams.no_objects import NoObjectStore
from podium.validation import Rows

SMALL = Large(threshold=800)  # a hundred numbers
VALUES = np.arange(1000.0) + 20


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    broker = MemoryBroker(max_payload=4000)
    with Board(tmp_path / "test.board") as board:
        async with MemoryStream(broker) as stream:
            world = World(broker, stream, board)
            broker.max_payload = 100_000  # scores are messages as ever
            yield world


async def ask_much(gateway: Predictor, values: np.ndarray = VALUES, **wishes: float) -> Answer:
    async with asyncio.timeout(PATIENCE):
        return await gateway.answer(Rows([values], len(values), single=False), time.monotonic(), **wishes)


async def test_a_large_input_goes_by_reference_and_is_forgotten_when_all_have_scored_it(world: World) -> None:
    async with (
        world.worker(LINEAR, times(2)),
        world.worker(FOREST, times(3)),
        world.gateway(large=SMALL) as gateway,
    ):
        answer = await ask_much(gateway)
        assert said(answer) == (2 * VALUES).tolist()
        await until(lambda: len(world.kept(ScoresFrame)) == 2)
        await until(lambda: not world.cellar.objects)
    (frame,) = world.kept(InputFrame)
    assert frame.large is not None
    assert frame.large["x"].digest == digest(VALUES.tobytes())
    assert (frame.columns["x"].shape, frame.columns["x"].data) == ((1000,), b"")


async def test_small_inputs_stay_in_their_frames(world: World) -> None:
    async with world.worker(LINEAR, times(2)), world.gateway(large=SMALL) as gateway:
        assert said(await ask_much(gateway, VALUES[:100])) == (2 * VALUES[:100]).tolist()
    (frame,) = world.kept(InputFrame)
    assert frame.large is None


async def test_what_the_archive_is_to_keep_is_left_to_the_archiver(world: World) -> None:
    keeping = Large(threshold=800, keep=True)
    async with (
        world.worker(LINEAR, times(2)),
        world.worker(FOREST, times(3)),
        world.gateway(large=keeping) as gateway,
    ):
        await ask_much(gateway)
        await until(lambda: len(world.kept(ScoresFrame)) == 2)
        await asyncio.sleep(0.02)
    assert len(world.cellar.objects) == 1


async def test_a_full_store_refuses_and_nothing_is_published(world: World) -> None:
    world.cellar.max_bytes = 5000
    async with world.worker(LINEAR, times(2)), world.gateway(large=SMALL) as gateway:
        with pytest.raises(StoreFull):
            await ask_much(gateway)
        assert said(await ask(gateway, 5.0)) == [10.0]
    assert len(world.kept(InputFrame)) == 1


async def test_where_there_is_no_store_a_large_input_is_refused_and_a_small_one_answered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = NoObjectStore("servicebus://shop.servicebus.windows.net", "diabetes", ttl=60.0, max_bytes=5000)
    monkeypatch.setattr(world, "store", none)
    async with world.worker(LINEAR, times(2)), world.gateway(large=SMALL) as gateway:
        with pytest.raises(TooLarge, match="over the limit"):
            await ask_much(gateway)
        assert said(await ask(gateway, 5.0)) == [10.0]
    assert len(world.kept(InputFrame)) == 1


async def test_a_store_that_is_away_refuses(world: World) -> None:
    world.cellar.crash()
    async with world.gateway(large=SMALL) as gateway:
        with pytest.raises(StreamAway):
            await ask_much(gateway)


async def test_a_store_that_hangs_costs_the_large_request_its_answer_and_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(name: str, content: bytes, *, sha256: bytes) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(world.store, "put", hang)
    async with world.worker(LINEAR, times(2)), world.gateway(large=SMALL) as gateway:
        large = asyncio.create_task(ask_much(gateway, deadline=100.0))
        assert said(await ask(gateway, 5.0)) == [10.0]
        answer = await large
        assert (answer.rule, answer.ms >= 100) == ("default", True)
        await until(lambda: any(frame.error for frame in world.kept(ScoresFrame)))
    (error,) = [frame.error for frame in world.kept(ScoresFrame) if frame.error]
    assert error.startswith("a large input is not there: there is no object")


async def test_what_is_gone_before_a_worker_fetches_it_is_that_contenders_error(world: World) -> None:
    world.cellar.ttl = 0.0
    async with world.worker(LINEAR, times(2)), world.gateway(large=SMALL, deadline_ms=200.0) as gateway:
        assert (await ask_much(gateway)).rule == "default"
    (scores,) = world.kept(ScoresFrame)
    assert "there is no object" in scores.error


async def test_other_bytes_than_were_sent_are_never_scored(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def other(name: str) -> bytes:
        return bytes(VALUES.nbytes)

    monkeypatch.setattr(world.store, "get", other)
    model = times(2)
    async with world.worker(LINEAR, model), world.gateway(large=SMALL, deadline_ms=200.0) as gateway:
        assert (await ask_much(gateway)).rule == "default"
    (scores,) = world.kept(ScoresFrame)
    assert "not the bytes that its digest names" in scores.error
    assert model.asked == []


async def test_a_worker_fetches_a_frame_once_whatever_its_requests(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []
    get = world.store.get

    async def counted(name: str) -> bytes:
        fetched.append(name)
        return await get(name)

    monkeypatch.setattr(world.store, "get", counted)
    async with (
        world.worker(LINEAR, times(2)),
        world.worker(FOREST, times(3)),
        world.gateway(large=SMALL) as gateway,
    ):
        await ask_much(gateway)
        await until(lambda: len(world.kept(ScoresFrame)) == 2)
    assert len(fetched) == 2
    assert len(set(fetched)) == 1


def test_room_is_for_so_many_bytes_at_a_time() -> None:
    room = Room(3 * COUNTED_BYTES)
    with room.hold(2 * COUNTED_BYTES):
        with pytest.raises(TooManyRequests, match="large bodies are in flight"):
            room.take(2 * COUNTED_BYTES)
        with room.hold(COUNTED_BYTES):  # small ones are not counted
            pass
    with room.hold(2 * COUNTED_BYTES):
        pass


def test_one_that_is_alone_finds_room_however_large_it_is() -> None:
    room = Room(COUNTED_BYTES)
    with room.hold(10 * COUNTED_BYTES), pytest.raises(TooManyRequests):
        room.take(2 * COUNTED_BYTES)
