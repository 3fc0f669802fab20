"""What every adapter of the policy store's seam must do: policies and keys. One suite, over all of them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
from tests.contracts.brokers import NatsServer
from tests.servicebus import WANTED
from tests.servicebus.azurite import Azurite
from tests.servicebus.running import Line

from podium.callers import Key, Rate
from podium.errors import RevisionTaken, StreamAway
from podium.records import Contender, Policy, Role
from podium.streams.memory_policies import MemoryPolicyStore, MemoryShelf
from podium.streams.nats_policies import NatsPolicyStore
from podium.streams.policies import PolicyStore
from podium.streams.table_policies import CONNECTION, TablePolicyStore

PATIENCE = 10.0
LINEAR = Contender(model="linear", version="9f2c1ab04d5e", number=1, role=Role.CHAMPION)


class World(Protocol):
    """A store of one kind, until the test ends."""

    def store(self, endpoint: str = "diabetes") -> AbstractAsyncContextManager[PolicyStore]: ...

    async def crash(self) -> None: ...

    async def start(self) -> None: ...


class MemoryWorld:
    def __init__(self) -> None:
        self._shelves: dict[str, MemoryShelf] = {}

    def store(self, endpoint: str = "diabetes") -> MemoryPolicyStore:
        return MemoryPolicyStore(self._shelves.setdefault(endpoint, MemoryShelf()))

    async def crash(self) -> None:
        for shelf in self._shelves.values():
            shelf.crash()

    async def start(self) -> None:
        for shelf in self._shelves.values():
            shelf.start()


class NatsWorld(NatsServer):
    def store(self, endpoint: str = "diabetes") -> NatsPolicyStore:
        return NatsPolicyStore(self.url, endpoint)


class TableWorld:
    """Azurite, Microsoft's own stand-in for Azure Storage, on a line that can be cut."""

    def __init__(self, azurite: Azurite) -> None:
        self._line = Line(azurite.port)
        self._endpoints = secrets.token_hex(4)
        self.connection_string = azurite.connection_string(self._line.port)

    @asynccontextmanager
    async def store(self, endpoint: str = "diabetes") -> AsyncIterator[PolicyStore]:
        url = "servicebus://unused.servicebus.windows.net"
        async with TablePolicyStore(url, f"{endpoint}-{self._endpoints}") as store:
            yield store

    async def crash(self) -> None:
        await self._line.cut()

    async def start(self) -> None:
        await self._line.open()


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with Azurite(tmp_path_factory.mktemp("azurite")) as azurite:
        yield azurite


def _world(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    match request.param:
        case "memory":
            return MemoryWorld()
        case "table":
            world = TableWorld(request.getfixturevalue("azurite"))
            monkeypatch.setenv(CONNECTION, world.connection_string)
            return world
        case kind:
            return NatsWorld(folder, tls=kind == "nats with tls")


@pytest.fixture(params=["memory", "nats", "nats with tls", *(["table"] if WANTED else [])])
async def world(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    found = _world(request, tmp_path, monkeypatch)
    await found.start()
    yield found
    await found.crash()


def policy(revision: int, **fields: Any) -> Policy:
    return Policy(
        endpoint="diabetes",
        revision=revision,
        contenders=(LINEAR,),
        deadline_ms=100.0,
        schedule=((0.0, ("champion",)),),
        **fields,
    )


def key(name: str, number: int, **fields: Any) -> Key:
    """The older, the lower the number."""
    return Key(digest=f"{(7 * number) % 64:064x}", name=name, created=number, **fields)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.01)


async def test_an_empty_store_has_no_policy(world: World) -> None:
    async with world.store() as store:
        assert await store.read() is None
        assert await store.read(1) is None


async def test_what_was_written_is_read_as_it_was(world: World) -> None:
    first = policy(1, default={"progression": 152.13}, author="ada", reason="first", changed=7)
    second = policy(2, restores=1)
    async with world.store() as store:
        await store.write(first)
        await store.write(second)
        assert await store.read() == second
        assert await store.read(1) == first


async def test_of_two_who_write_a_revision_the_second_is_refused(world: World) -> None:
    async with world.store() as one, world.store() as other:
        await one.write(policy(1, reason="one"))
        with pytest.raises(RevisionTaken, match="revision 1"):
            await other.write(policy(1, reason="other"))
        found = await other.read()
        assert found is not None
        assert found.reason == "one"


async def test_of_many_who_write_at_once_one_succeeds(world: World) -> None:
    async with world.store() as store:
        done = await asyncio.gather(
            *(store.write(policy(1, reason=str(n))) for n in range(10)), return_exceptions=True
        )
        assert [result for result in done if result is None] == [None]
        assert sum(isinstance(result, RevisionTaken) for result in done) == 9


async def test_a_follower_hears_the_newest_first_and_then_each_new_one(world: World) -> None:
    heard: list[int] = []
    async with world.store() as writer, world.store() as follower:
        await writer.write(policy(1))
        await writer.write(policy(2))
        await follower.follow(lambda found: heard.append(found.revision))
        await until(lambda: heard == [2])
        await writer.write(policy(3))
        await until(lambda: heard == [2, 3])


async def test_a_follower_of_an_empty_store_hears_the_first(world: World) -> None:
    heard: list[int] = []
    async with world.store() as writer, world.store() as follower:
        await follower.follow(lambda found: heard.append(found.revision))
        assert heard == []
        await writer.write(policy(1))
        await until(lambda: heard == [1])


async def test_endpoints_do_not_see_each_others_policies(world: World) -> None:
    heard: list[int] = []
    async with world.store() as ours, world.store("wine") as theirs:
        await theirs.follow(lambda found: heard.append(found.revision))
        await ours.write(policy(1))
        assert await theirs.read() is None
        assert heard == []


async def test_revisions_are_still_there_after_a_crash_and_followers_catch_up(world: World) -> None:
    heard: list[int] = []
    async with world.store() as store, world.store() as follower:
        await store.write(policy(1))
        await follower.follow(lambda found: heard.append(found.revision))
        await world.crash()
        with pytest.raises(StreamAway):
            await store.read()
        await world.start()
        async with asyncio.timeout(PATIENCE), world.store() as again:
            assert (await again.read()) == policy(1)
            await again.write(policy(2))
        await until(lambda: 2 in heard)


# --- callers' keys --------------------------------------------------------------------------


async def test_keys_are_read_as_they_were_kept_the_oldest_first(world: World) -> None:
    rate = Rate(requests=100, seconds=1)
    first = key("powerbi", 1, owner="Ada Löwe", purpose="reports", rate=rate, author="ada@host")
    async with world.store() as store:
        assert await store.keys() == []
        for number in (3, 2):
            await store.keep_key(key("other", number))
        await store.keep_key(first)
        assert await store.keys() == [first, key("other", 2), key("other", 3)]


async def test_a_key_that_is_kept_again_is_what_it_has_become(world: World) -> None:
    async with world.store() as store:
        await store.keep_key(key("powerbi", 1))
        await store.keep_key(key("powerbi", 1, revoked=5, revoker="ada"))
        assert await store.keys() == [key("powerbi", 1, revoked=5, revoker="ada")]


async def test_a_follower_hears_of_all_keys_and_then_of_each_change(world: World) -> None:
    heard: list[Key] = []
    async with world.store() as writer, world.store() as follower:
        await writer.keep_key(key("one", 1))
        await writer.keep_key(key("two", 2))
        await follower.follow_keys(heard.append)
        assert heard == [key("one", 1), key("two", 2)]
        await writer.keep_key(key("one", 1, revoked=5))
        await until(lambda: heard[2:] == [key("one", 1, revoked=5)])
        await writer.keep_key(key("three", 3))
        await until(lambda: heard[3:] == [key("three", 3)])


async def test_whoever_follows_policies_and_keys_hears_each_of_its_own(world: World) -> None:
    policies: list[Policy] = []
    keys: list[Key] = []
    async with world.store() as writer, world.store() as follower:
        await follower.follow(policies.append)
        await follower.follow_keys(keys.append)
        await writer.write(policy(1))
        await writer.keep_key(key("one", 1))
        await until(lambda: bool(policies and keys))
        assert (policies, keys) == ([policy(1)], [key("one", 1)])
        assert await writer.read() == policy(1)


async def test_endpoints_do_not_see_each_others_keys(world: World) -> None:
    heard: list[Key] = []
    async with world.store() as ours, world.store("wine") as theirs:
        await theirs.follow_keys(heard.append)
        await ours.keep_key(key("one", 1))
        assert await theirs.keys() == []
        assert heard == []


async def test_a_key_revoked_while_a_follower_was_cut_off_is_known_to_it_later(world: World) -> None:
    heard: list[Key] = []
    async with world.store() as store, world.store() as follower:
        await store.keep_key(key("one", 1))
        await follower.follow_keys(heard.append)
        await world.crash()
        with pytest.raises(StreamAway):
            await store.keep_key(key("two", 2))
        await world.start()
        async with asyncio.timeout(PATIENCE), world.store() as again:
            await again.keep_key(key("one", 1, revoked=5))
        await until(lambda: key("one", 1, revoked=5) in heard)
