"""What every adapter of the object store's seam must do. One suite, over all of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import pytest
from nats.aio.client import Client

from podium.errors import BodyLost, StoreFull, StreamAway
from podium.node.broker import Broker
from podium.protocol.frames import digest
from podium.streams.memory_objects import MemoryCellar, MemoryObjectStore
from podium.streams.nats_objects import CHUNK_BYTES, WINDOW, NatsObjectStore
from podium.streams.objects import ObjectStore

MEGABYTE = 1024 * 1024
MAX_BYTES = 24 * MEGABYTE
TTL = 1.0
PATIENCE = 10.0


class World(Protocol):
    """A store of one kind, until the test ends."""

    def store(self, *, ttl: float = 60.0) -> AbstractAsyncContextManager[ObjectStore]: ...

    async def crash(self) -> None: ...

    async def start(self) -> None: ...


class MemoryWorld:
    def __init__(self) -> None:
        self._cellar = MemoryCellar(max_bytes=MAX_BYTES)

    def store(self, *, ttl: float = 60.0) -> MemoryObjectStore:
        self._cellar.ttl = ttl
        return MemoryObjectStore(self._cellar)

    async def crash(self) -> None:
        self._cellar.crash()

    async def start(self) -> None:
        self._cellar.start()


class NatsWorld:
    """A real nats-server, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.broker = Broker.choose(run_dir=folder / "run", store=folder / "store")
        self._process: asyncio.subprocess.Process | None = None

    def store(self, *, ttl: float = 60.0) -> NatsObjectStore:
        return NatsObjectStore(self.broker.url, "diabetes", ttl=ttl, max_bytes=MAX_BYTES)

    async def crash(self) -> None:
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self.broker.spec().argv, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.broker.port)
                except OSError:
                    await asyncio.sleep(0.01)
                else:
                    writer.close()
                    return


@pytest.fixture
async def nats_world(tmp_path: Path) -> AsyncIterator[NatsWorld]:
    world = NatsWorld(tmp_path)
    await world.start()
    try:
        yield world
    finally:
        await world.crash()


@pytest.fixture(params=["memory", "nats"])
def world(request: pytest.FixtureRequest) -> World:
    found: World = MemoryWorld() if request.param == "memory" else request.getfixturevalue("nats_world")
    return found


@pytest.fixture
async def store(world: World) -> AsyncIterator[ObjectStore]:
    async with world.store() as store:
        yield store


async def put(store: ObjectStore, name: str, content: bytes) -> None:
    await store.put(name, content, sha256=digest(content))


@pytest.mark.parametrize("size", [1, CHUNK_BYTES, CHUNK_BYTES + 1, (WINDOW + 3) * CHUNK_BYTES])
async def test_what_was_put_is_there_for_everybody(world: World, store: ObjectStore, size: int) -> None:
    content = os.urandom(size)
    await put(store, "a", content)
    async with world.store() as other:
        assert await other.get("a") == content


async def test_several_objects_at_once_do_not_mix(store: ObjectStore) -> None:
    contents = [bytes([n]) * MEGABYTE for n in range(6)]
    await asyncio.gather(*(put(store, f"object-{n}", content) for n, content in enumerate(contents)))
    assert await asyncio.gather(*(store.get(f"object-{n}") for n in range(6))) == contents


async def test_what_is_not_there_is_lost(store: ObjectStore) -> None:
    with pytest.raises(BodyLost, match="no object never"):
        await store.get("never")


async def test_what_is_deleted_is_gone_and_deleting_it_again_is_nothing(store: ObjectStore) -> None:
    await put(store, "a", b"content")
    await put(store, "b", b"other")
    await store.delete("a")
    await store.delete("a")
    with pytest.raises(BodyLost):
        await store.get("a")
    assert await store.get("b") == b"other"


async def test_an_object_is_gone_when_its_time_is_over(world: World) -> None:
    async with world.store(ttl=TTL) as store:
        await put(store, "a", b"content")
        assert await store.get("a") == b"content"
        with pytest.raises(BodyLost):
            await get_until_it_is_gone(store, "a")


async def get_until_it_is_gone(store: ObjectStore, name: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            await store.get(name)
            await asyncio.sleep(0.1)


async def test_a_store_that_is_full_says_so_and_keeps_what_it_has(store: ObjectStore) -> None:
    first = bytes(MAX_BYTES - 4 * MEGABYTE)
    await put(store, "a", first)
    with pytest.raises(StoreFull):
        await put(store, "b", bytes(8 * MEGABYTE))
    assert await store.get("a") == first
    with pytest.raises(BodyLost):
        await store.get("b")
    await put(store, "c", bytes(2 * MEGABYTE))  # nothing of what found no room takes any
    await store.delete("a")
    await put(store, "b", bytes(8 * MEGABYTE))
    assert await store.get("b") == bytes(8 * MEGABYTE)


async def test_while_the_store_is_away_that_is_an_error_and_later_it_goes_on(
    world: World, store: ObjectStore
) -> None:
    await put(store, "a", b"content")
    await world.crash()
    with pytest.raises(StreamAway):
        await put(store, "b", b"other")
    with pytest.raises(StreamAway):
        await store.get("a")
    await world.start()
    await put(store, "c", b"more")
    assert await store.get("c") == b"more"


# --- of NATS alone --------------------------------------------------------------------------


async def test_a_nats_client_reads_it_with_its_own_object_store(nats_world: NatsWorld) -> None:
    content = os.urandom(3 * CHUNK_BYTES + 7)
    async with nats_world.store() as store:
        await put(store, "a", content)
    client = Client()
    await client.connect(nats_world.broker.url)
    try:
        bucket = await client.jetstream().object_store("podium-diabetes")
        assert (await bucket.get("a")).data == content  # which checks the digest
    finally:
        await client.close()


async def test_a_store_whose_bounds_change_keeps_what_it_has(nats_world: NatsWorld) -> None:
    async with nats_world.store() as store:
        await put(store, "a", b"content")
    async with nats_world.store(ttl=30.0) as store:
        assert await store.get("a") == b"content"


async def test_a_broker_without_room_for_the_store_says_what_to_do(nats_world: NatsWorld) -> None:
    store = NatsObjectStore(nats_world.broker.url, "diabetes", ttl=60.0, max_bytes=2**60)
    async with store:
        with pytest.raises(StoreFull, match="store_bytes in \\[large\\]"):
            await put(store, "a", b"content")
