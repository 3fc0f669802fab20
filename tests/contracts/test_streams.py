"""What every adapter of the stream's seam must do. One suite, over all of them.

An adapter joins by a `World`: a broker that can be killed and started, and connections to it.
"""

from __future__ import annotations

import asyncio
import gc
import secrets
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import pytest
from tests.contracts.brokers import NatsServer
from tests.servicebus import WANTED
from tests.servicebus.running import MAX_MESSAGE, Line, Running

from podium.errors import StreamAway, TooLarge
from podium.node.broker import MAX_PAYLOAD
from podium.streams.base import Kept, Stream
from podium.streams.memory import MemoryBroker, MemoryStream
from podium.streams.nats import NatsStream
from podium.streams.servicebus import ENVELOPE_BYTES, ServiceBusStream
from podium.streams.servicebus_address import CONNECTION

PATIENCE = 10.0


class World(Protocol):
    """A broker of one kind, running until the test ends."""

    max_payload: int
    turns: int
    """How often something is tried that is slow on some."""

    def connection(self) -> AbstractAsyncContextManager[Stream]: ...

    async def crash(self) -> None: ...

    async def start(self) -> None: ...


class MemoryWorld:
    max_payload = 1024 * 1024
    turns = 20

    def __init__(self) -> None:
        self._broker = MemoryBroker(max_payload=self.max_payload)

    def connection(self) -> MemoryStream:
        return MemoryStream(self._broker)

    async def crash(self) -> None:
        self._broker.crash(losing=3)

    async def start(self) -> None:
        self._broker.start()


class NatsWorld(NatsServer):
    max_payload = MAX_PAYLOAD
    turns = 20

    def connection(self) -> NatsStream:
        return NatsStream(self.url, "diabetes")


class ServiceBusWorld:
    """The stand-in, on a line that can be cut; the real one does not forget what it has taken either."""

    max_payload = MAX_MESSAGE - ENVELOPE_BYTES
    turns = 3

    def __init__(self, running: Running) -> None:
        self._endpoint = f"diabetes-{secrets.token_hex(4)}"
        self._running = running
        self._line = Line(running.amqp_port)

    def connection(self) -> ServiceBusStream:
        return ServiceBusStream(self._running.url(self._line.port), self._endpoint)

    @property
    def connection_string(self) -> str:
        return self._running.connection_string(self._line.port)

    async def crash(self) -> None:
        await self._line.cut()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # see LEFT_OPEN
            gc.collect()

    async def start(self) -> None:
        await self._line.open()


@pytest.fixture(scope="session")
def running() -> Iterator[Running]:
    with Running() as running:
        yield running


LEFT_OPEN = pytest.mark.filterwarnings(  # the SDK leaves the socket of a broken connection to the collector
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore:unclosed:ResourceWarning"
)


SERVICEBUS = [pytest.param("servicebus", marks=LEFT_OPEN)] if WANTED else []


@pytest.fixture(params=["memory", "nats", "nats with tls", *SERVICEBUS])
async def world(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    if request.param == "memory":
        yield MemoryWorld()
        return
    found: World = NatsWorld(tmp_path, tls=request.param == "nats with tls")
    if request.param == "servicebus":
        found = ServiceBusWorld(request.getfixturevalue("running"))
        monkeypatch.setenv(CONNECTION, found.connection_string)
    await found.start()
    try:
        yield found
    finally:
        await found.crash()


@pytest.fixture
async def stream(world: World) -> AsyncIterator[Stream]:
    async with world.connection() as stream:
        yield stream


@pytest.fixture
async def other(world: World) -> AsyncIterator[Stream]:
    async with world.connection() as stream:
        yield stream


class Listener:
    """Collects what it receives."""

    def __init__(self) -> None:
        self.received: list[bytes] = []

    def __call__(self, payload: bytes) -> None:
        self.received.append(payload)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.005)


async def read_all(stream: Stream, count: int, *, after: int = 0) -> list[Kept]:
    found: list[Kept] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            found += await stream.read(found[-1].position if found else after, 1000, 0.2)
    return found


async def distinct(stream: Stream, count: int) -> list[bytes]:
    """What a reader is left with that drops what it has seen; waits for so many messages."""
    async with asyncio.timeout(PATIENCE):
        found: dict[bytes, None] = {}
        position = 0
        while len(found) < count:
            for message in await stream.read(position, 1000, 0.2):
                position = message.position
                found.setdefault(message.payload)
    return list(found)


def numbered(count: int, prefix: str = "") -> list[bytes]:
    return [f"{prefix}{n}".encode() for n in range(count)]


# --- listening ------------------------------------------------------------------------------


async def test_what_is_published_is_received_once_by_each_group(stream: Stream, other: Stream) -> None:
    groups = {"linear": [Listener(), Listener()], "forest": [Listener(), Listener(), Listener()]}
    for group, members in groups.items():
        for member in members:
            await other.subscribe("input", member, group=group)
    sent = numbered(60)
    for payload in sent:
        stream.publish("input", payload)
    for members in groups.values():
        await until(lambda members=members: sum(len(m.received) for m in members) >= len(sent))
        received = [payload for member in members for payload in member.received]
        assert sorted(received) == sorted(sent)


async def test_the_members_of_a_group_share_the_work(stream: Stream, other: Stream) -> None:
    members = [Listener(), Listener()]
    for member in members:
        await other.subscribe("input", member, group="linear")
    for payload in numbered(200):
        stream.publish("input", payload)
    await until(lambda: sum(len(m.received) for m in members) == 200)
    assert all(member.received for member in members)


async def test_everybody_without_a_group_receives_everything(stream: Stream, other: Stream) -> None:
    listeners = [Listener(), Listener()]
    for listener in listeners:
        await other.subscribe("input", listener)
    for payload in numbered(20):
        stream.publish("input", payload)
    for listener in listeners:
        await until(lambda listener=listener: len(listener.received) == 20)
        assert listener.received == numbered(20)


async def test_what_one_connection_publishes_arrives_in_that_order(stream: Stream, other: Stream) -> None:
    listener = Listener()
    await other.subscribe("scores.gateway-1", listener)
    for payload in numbered(500):
        stream.publish("scores.gateway-1", payload)
    await until(lambda: len(listener.received) == 500)
    assert listener.received == numbered(500)


async def test_a_subscriber_hears_its_own_subject_only(stream: Stream) -> None:
    mine, others = Listener(), Listener()
    await stream.subscribe("scores.gateway-1", mine)
    await stream.subscribe("scores.gateway-2", others)
    stream.publish("scores.gateway-2", b"not mine")
    stream.publish("scores.gateway-1", b"mine")
    await until(lambda: bool(mine.received and others.received))
    assert (mine.received, others.received) == ([b"mine"], [b"not mine"])


async def test_a_connection_hears_what_it_publishes_itself(stream: Stream) -> None:
    listener = Listener()
    await stream.subscribe("answers", listener)
    stream.publish("answers", b"mine")
    await until(lambda: listener.received == [b"mine"])


async def test_a_late_subscriber_gets_nothing_old(stream: Stream, other: Stream) -> None:
    stream.publish("input", b"old")
    await read_all(stream, 1)
    listener = Listener()
    await other.subscribe("input", listener)
    stream.publish("input", b"new")
    await until(lambda: bool(listener.received))
    assert listener.received == [b"new"]


async def test_who_has_subscribed_misses_nothing_that_is_published_afterwards(
    stream: Stream, other: Stream, world: World
) -> None:
    for turn in range(world.turns):
        listener = Listener()
        subscription = await other.subscribe("probe.linear", listener)
        stream.publish("probe.linear", str(turn).encode())
        await until(lambda listener=listener: bool(listener.received))
        await subscription.close()


async def test_a_closed_subscription_receives_nothing_more(stream: Stream, other: Stream) -> None:
    closed, open_ = Listener(), Listener()
    subscription = await other.subscribe("input", closed)
    await other.subscribe("input", open_)
    stream.publish("input", b"before")
    await until(lambda: bool(closed.received))
    await subscription.close()
    stream.publish("input", b"after")
    await until(lambda: len(open_.received) == 2)
    assert closed.received == [b"before"]


async def test_closing_still_handles_the_messages_that_are_here(stream: Stream) -> None:
    listener = Listener()
    subscription = await stream.subscribe("input", listener)
    for payload in numbered(10):
        stream.publish("input", payload)
    await subscription.close()
    assert listener.received == numbered(10)


async def test_the_rest_of_a_group_takes_over_from_a_member_that_closes(
    stream: Stream, other: Stream
) -> None:
    leaving, staying = Listener(), Listener()
    subscription = await other.subscribe("input", leaving, group="linear")
    await other.subscribe("input", staying, group="linear")
    await subscription.close()
    for payload in numbered(20):
        stream.publish("input", payload)
    await until(lambda: len(staying.received) == 20)
    assert leaving.received == []


async def test_a_receiver_that_fails_gets_the_next_message(stream: Stream) -> None:
    received = []

    def fail_at_first(payload: bytes) -> None:
        received.append(payload)
        if len(received) == 1:
            raise ValueError("on purpose")

    await stream.subscribe("probe.linear", fail_at_first)
    stream.publish("probe.linear", b"one")
    stream.publish("probe.linear", b"two")
    await until(lambda: received == [b"one", b"two"])


# --- what is kept ---------------------------------------------------------------------------


async def test_kept_messages_come_in_order_with_positions_without_holes(stream: Stream) -> None:
    for payload in numbered(300):
        stream.publish("input", payload)
    kept = await read_all(stream, 300)
    assert [message.payload for message in kept] == numbered(300)
    first = kept[0].position
    assert first >= 1
    assert [message.position for message in kept] == list(range(first, first + 300))


@pytest.mark.parametrize("subject", ["input", "scores.gateway-1", "answers", "decoy", "outcomes"])
async def test_this_subject_is_kept(stream: Stream, subject: str) -> None:
    stream.publish(subject, b"for good")
    assert [message.payload for message in await read_all(stream, 1)] == [b"for good"]


async def test_any_other_subject_is_not_kept(stream: Stream) -> None:
    stream.publish("probe.linear", b"are you there?")
    stream.publish("input", b"kept")
    assert [message.payload for message in await read_all(stream, 1)] == [b"kept"]


async def test_messages_of_all_kept_subjects_share_one_order(stream: Stream) -> None:
    subjects = ["input", "scores.gateway-1", "answers"] * 10
    for payload, subject in zip(numbered(30), subjects, strict=True):
        stream.publish(subject, payload)
    assert [message.payload for message in await read_all(stream, 30)] == numbered(30)


async def test_each_publisher_finds_its_own_order_kept(stream: Stream, other: Stream) -> None:
    async def publish(to: Stream, prefix: str) -> None:
        for payload in numbered(100, prefix):
            to.publish("input", payload)
            await asyncio.sleep(0)

    await asyncio.gather(publish(stream, "a"), publish(other, "b"))
    kept = [message.payload for message in await read_all(stream, 200)]
    for prefix in ("a", "b"):
        assert [p for p in kept if p.startswith(prefix.encode())] == numbered(100, prefix)


async def test_a_reader_that_starts_after_a_position_sees_the_next_one_first(stream: Stream) -> None:
    for payload in numbered(10):
        stream.publish("input", payload)
    kept = await read_all(stream, 10)
    again = await read_all(stream, 6, after=kept[3].position)
    assert again == kept[4:]


async def test_reading_does_not_consume(stream: Stream, other: Stream) -> None:
    for payload in numbered(5):
        stream.publish("input", payload)
    assert await read_all(stream, 5) == await read_all(stream, 5) == await read_all(other, 5)


async def test_a_read_returns_no_more_than_its_limit(stream: Stream) -> None:
    for payload in numbered(10):
        stream.publish("input", payload)
    first = (await read_all(stream, 10))[0].position
    assert len(await stream.read(first - 1, 4, 1.0)) <= 4


async def test_a_read_waits_for_the_first_message(stream: Stream, other: Stream) -> None:
    async with asyncio.timeout(PATIENCE):
        reading = asyncio.create_task(stream.read(0, 10, PATIENCE))
        await asyncio.sleep(0.05)
        assert not reading.done()
        other.publish("input", b"at last")
        assert [message.payload for message in await reading] == [b"at last"]


async def test_a_read_returns_nothing_when_nothing_comes(stream: Stream) -> None:
    assert await stream.read(0, 10, 0.05) == []


async def test_trimmed_messages_are_forgotten_and_the_others_keep_their_positions(stream: Stream) -> None:
    for payload in numbered(10):
        stream.publish("input", payload)
    kept = await read_all(stream, 10)
    await stream.trim(kept[5].position)
    assert await read_all(stream, 4) == kept[6:]


async def test_positions_go_on_after_everything_was_trimmed(stream: Stream) -> None:
    for payload in numbered(3):
        stream.publish("input", payload)
    last = (await read_all(stream, 3))[-1].position
    await stream.trim(last)
    stream.publish("input", b"next")
    assert await read_all(stream, 1, after=last) == [Kept(last + 1, b"next")]


async def test_the_last_position_is_the_newest_message_s_and_none_where_nothing_is_kept(
    stream: Stream, other: Stream
) -> None:
    assert await stream.last() == 0
    for payload in numbered(3):
        other.publish("input", payload)
    newest = (await read_all(stream, 3))[-1].position
    assert await stream.last() == newest
    await stream.trim(newest)
    assert await stream.last() == 0


async def test_trimming_twice_or_back_changes_nothing(stream: Stream) -> None:
    for payload in numbered(6):
        stream.publish("input", payload)
    kept = await read_all(stream, 6)
    for message in (kept[3], kept[3], kept[1]):
        await stream.trim(message.position)
    assert await read_all(stream, 2) == kept[4:]


# --- limits, and a broker that is away ------------------------------------------------------


async def test_a_message_over_the_brokers_limit_is_refused_and_the_next_one_goes(
    stream: Stream, world: World
) -> None:
    with pytest.raises(TooLarge):
        stream.publish("input", bytes(world.max_payload + 1))
    stream.publish("input", b"small")
    assert [message.payload for message in await read_all(stream, 1)] == [b"small"]


async def test_a_message_of_exactly_the_limit_arrives_whole(stream: Stream, world: World) -> None:
    stream.publish("input", bytes(world.max_payload))
    assert len((await read_all(stream, 1))[0].payload) == world.max_payload


async def test_an_empty_message_arrives(stream: Stream) -> None:
    listener = Listener()
    await stream.subscribe("probe.linear", listener)
    stream.publish("probe.linear", b"")
    await until(lambda: listener.received == [b""])


async def test_publishing_what_is_not_kept_while_the_broker_is_away_says_so(
    stream: Stream, world: World
) -> None:
    assert stream.connected
    await world.crash()
    await until(lambda: not stream.connected)
    with pytest.raises(StreamAway):
        stream.publish("probe.linear", b"nobody takes it")


async def test_what_is_to_be_kept_waits_for_the_brokers_return_for_readers_only(
    stream: Stream, other: Stream, world: World
) -> None:
    listener = Listener()
    await other.subscribe("answers", listener)
    stream.publish("answers", b"before")
    await until(lambda: bool(listener.received))
    await world.crash()
    await until(lambda: not stream.connected and not other.connected)
    stream.publish("answers", b"while away")
    await world.start()
    await until(lambda: stream.connected and other.connected)
    stream.publish("answers", b"after")
    await until(lambda: b"after" in listener.received)
    assert listener.received == [b"before", b"after"]
    assert await distinct(stream, 3) == [b"before", b"while away", b"after"]


async def test_reading_while_the_broker_is_away_says_so(stream: Stream, world: World) -> None:
    await world.crash()
    await until(lambda: not stream.connected)
    with pytest.raises(StreamAway):
        await stream.read(0, 10, 0.05)
    with pytest.raises(StreamAway):
        await stream.last()


async def test_subscriptions_survive_a_crash_of_the_broker(
    stream: Stream, other: Stream, world: World
) -> None:
    listener = Listener()
    await other.subscribe("input", listener)
    await world.crash()
    await until(lambda: not stream.connected and not other.connected)
    await world.start()
    await until(lambda: stream.connected and other.connected)
    stream.publish("input", b"again")
    await until(lambda: bool(listener.received))
    assert listener.received == [b"again"]


async def test_a_crash_repeats_kept_messages_and_loses_none(stream: Stream, world: World) -> None:
    for payload in numbered(40, "before "):
        stream.publish("input", payload)
    await world.crash()
    await until(lambda: not stream.connected)
    await world.start()
    await until(lambda: stream.connected)
    for payload in numbered(5, "after "):
        stream.publish("input", payload)
    sent = numbered(40, "before ") + numbered(5, "after ")
    assert await distinct(stream, len(sent)) == sent


async def test_publishing_that_goes_on_through_a_crash_loses_nothing_and_keeps_its_order(
    stream: Stream, world: World
) -> None:
    sent: list[bytes] = []
    enough = asyncio.Event()

    async def publish() -> None:
        while not enough.is_set():
            sent.append(str(len(sent)).encode())
            stream.publish("answers", sent[-1])
            await asyncio.sleep(0.0005)

    publishing = asyncio.create_task(publish())
    for _ in range(3):
        reached = len(sent) + 30
        await until(lambda reached=reached: len(sent) > reached)
        await world.crash()
        await until(lambda: not stream.connected)
        await world.start()
        await until(lambda: stream.connected)
    enough.set()
    await publishing
    assert await distinct(stream, len(sent)) == sent


async def test_those_who_listen_do_not_hear_what_is_published_again(
    stream: Stream, other: Stream, world: World
) -> None:
    listener = Listener()
    await other.subscribe("input", listener)
    for payload in numbered(20):
        stream.publish("input", payload)
    await until(lambda: len(listener.received) == 20)
    await world.crash()
    await until(lambda: not stream.connected and not other.connected)
    await world.start()
    await until(lambda: stream.connected and other.connected)
    stream.publish("input", b"last")
    await until(lambda: b"last" in listener.received)
    assert listener.received == [*numbered(20), b"last"]
