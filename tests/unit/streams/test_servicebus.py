"""What only Service Bus does: locks, dead letters, a full topic, keys."""

from __future__ import annotations

import asyncio
import gc
import secrets
import warnings
from collections.abc import Callable, Iterator

import pytest
from tests.servicebus.running import MAX_MESSAGE, Running

from podium.errors import ProjectError, TooLarge
from podium.streams.servicebus import ServiceBusStream
from podium.streams.servicebus_address import CONNECTION
from podium.streams.servicebus_entities import LOCK

PATIENCE = 15.0
LEFT_OPEN = pytest.mark.filterwarnings(  # the SDK leaves the socket of a broken connection to the collector
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore:unclosed:ResourceWarning"
)


@pytest.fixture(scope="module")
def broker() -> Iterator[Running]:
    with Running() as running:
        yield running


@pytest.fixture
def endpoint(broker: Running, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(CONNECTION, broker.connection_string())
    return f"diabetes-{secrets.token_hex(4)}"


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.02)


async def test_what_a_worker_has_not_settled_goes_to_another_when_it_is_gone(
    broker: Running, endpoint: str
) -> None:
    taken: list[bytes] = []
    async with ServiceBusStream(broker.url(), endpoint) as stream:
        async with ServiceBusStream(broker.url(), endpoint) as first:
            subscription = await first.subscribe("input", taken.append, group="linear", settles=True)
            stream.publish("input", b"settled")
            stream.publish("input", b"not settled")
            await until(lambda: len(taken) == 2)
            subscription.settle([""])
        await stream.subscribe("input", taken.append, group="linear", settles=True)
        await until(lambda: len(taken) == 3)
        assert taken[2] == b"not settled"


async def test_the_lock_of_a_message_that_takes_long_is_renewed(broker: Running, endpoint: str) -> None:
    taken: list[bytes] = []
    async with ServiceBusStream(broker.url(), endpoint) as stream:
        slow = await stream.subscribe("input", taken.append, group="linear", settles=True)
        await stream.subscribe("input", taken.append, group="linear", settles=True)
        stream.publish("input", b"long work")
        await until(lambda: bool(taken))
        await asyncio.sleep(1.5 * LOCK.total_seconds())
        assert taken == [b"long work"]
        slow.settle([""])


async def test_a_message_of_no_use_is_a_dead_letter_and_counted(broker: Running, endpoint: str) -> None:
    dead: list[int] = []
    taken: list[bytes] = []
    async with ServiceBusStream(broker.url(), endpoint, dead=dead.append) as stream:
        worker = await stream.subscribe("input", taken.append, group="linear", settles=True)
        for payload in (b"good", b"junk"):
            stream.publish("input", payload)
        await until(lambda: len(taken) == 2)
        worker.settle(["", "input: no frame"])
        await until(lambda: dead[-1:] == [1])


@pytest.mark.parametrize("size", [0, 1, 1000])
async def test_the_limit_is_the_tier_s(broker: Running, endpoint: str, size: int) -> None:
    async with ServiceBusStream(broker.url(), endpoint) as stream:
        assert MAX_MESSAGE - 2048 < stream.limit < MAX_MESSAGE
        with pytest.raises(TooLarge, match=f"this Service Bus takes {stream.limit}"):
            stream.publish("input", bytes(stream.limit + 1 + size))


async def test_many_messages_of_any_size_go_out_in_batches_that_the_tier_takes(
    broker: Running, endpoint: str
) -> None:
    async with ServiceBusStream(broker.url(), endpoint) as stream:
        sizes = [1, 100_000, 200_000, 5, *([3000] * 100), stream.limit]
        for size in sizes:
            stream.publish("answers", bytes(size))
        last = 0
        found: list[int] = []
        async with asyncio.timeout(PATIENCE):
            while len(found) < len(sizes):
                for kept in await stream.read(last, 1000, 0.5):
                    last = kept.position
                    found.append(len(kept.payload))
        assert found == sizes
        assert await stream.last() == last


async def test_a_full_topic_is_overdue_and_what_waits_is_kept_once_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    overdue: list[int] = []
    with Running(topic_bytes=50_000) as small:
        monkeypatch.setenv(CONNECTION, small.connection_string())
        async with ServiceBusStream(small.url(), "diabetes", overdue=overdue.append) as stream:
            stream.publish("answers", bytes(60_000))
            (first,) = await stream.read(0, 10, PATIENCE)
            stream.publish("answers", b"waits")
            await until(lambda: 1 in overdue)
            await stream.trim(first.position)
            (second,) = await stream.read(first.position, 10, PATIENCE)
            assert second.payload == b"waits"
            await until(lambda: overdue[-1] == 0)


@LEFT_OPEN
@pytest.mark.parametrize("key", ["listener", "wrong"])
async def test_a_key_without_rights_says_which_it_needs(
    broker: Running, endpoint: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONNECTION, broker.connection_string(key=key))
    with pytest.raises(ProjectError, match=r"the key or identity is wrong, or it needs Manage, Send and"):
        async with ServiceBusStream(broker.url(), endpoint):
            pass
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # see LEFT_OPEN
        gc.collect()


async def test_a_model_on_the_stream_itself_needs_nats(broker: Running, endpoint: str) -> None:
    async with ServiceBusStream(broker.url(), endpoint) as stream:
        with pytest.raises(ProjectError, match="needs a NATS stream"):
            await stream.subscribe("scores.*", print)
