"""The stream over Azure Service Bus: one topic for an endpoint, a subscription for each who listens.

A message's label is its subject. The subscription `archive` keeps what is to be kept, in one order, and
gives it to readers by peeks. What the broker has not confirmed to have taken is sent again on a new
connection, under the label `again`, which only the archive's subscription lets in, and always before
anything new. See `docs/decisions/0031-service-bus.md`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender
from azure.servicebus.exceptions import ServiceBusQuotaExceededError

from podium.errors import ProjectError, StreamAway, TooLarge
from podium.streams.base import Kept, Receive
from podium.streams.servicebus_address import Address, Identity, translated
from podium.streams.servicebus_entities import KEPT, KEPT_PROPERTY, Entities
from podium.streams.servicebus_kept import KeptMessages
from podium.streams.servicebus_listening import Listening, end

log = logging.getLogger(__name__)

KEPT_SUBJECTS = frozenset({"input", "scores", "answers", "decoy", "outcomes"})
AGAIN = "again"
FIRST_SECONDS = 30.0
RETRY_SECONDS = 0.25
SEND_SECONDS = 10.0
FLUSH_SECONDS = 5.0
PULSE_SECONDS = 1.0
DEAD_SECONDS = 5.0
FULL_SECONDS = 1.0
ENVELOPE_BYTES = 1024
"""What AMQP needs around a payload, at most: label, property, and a batch's own."""

REMEMBER_BYTES = 64 * 1024 * 1024


class Outgoing(NamedTuple):
    """A message on its way to the broker."""

    subject: str
    payload: bytes
    keep: bool

    def message(self) -> ServiceBusMessage:
        message = ServiceBusMessage(self.payload, subject=self.subject)
        if self.keep:
            message.application_properties = {KEPT_PROPERTY: KEPT}
        return message


class ServiceBusSubscription:
    """See `podium.streams.base.Subscription`."""

    def __init__(self, owner: ServiceBusStream, listening: Listening) -> None:
        self._owner = owner
        self._listening = listening

    def settle(self, outcomes: Sequence[str]) -> None:
        self._listening.settle(outcomes, self._owner.published)

    async def close(self) -> None:
        await self._owner.leave(self._listening)


class ServiceBusStream:
    """A connection to one endpoint's topic. `async with` connects; see `podium.streams.base.Stream`.

    `lost` is called with the number of messages that could not be kept, `overdue`, again and again, with
    the number of those that wait here, `dead` with the number of those that the broker has put aside.
    """

    def __init__(
        self,
        url: str,
        endpoint: str,
        *,
        lost: Callable[[int], None] = lambda count: None,
        overdue: Callable[[int], None] = lambda count: None,
        dead: Callable[[int], None] | None = None,
    ) -> None:
        self._address = Address.of(url)
        self._endpoint = endpoint
        self._lost = lost
        self._overdue = overdue
        self._dead = dead
        self._own = secrets.token_hex(8)
        self._listenings: list[Listening] = []
        self._leaving: list[Listening] = []
        self._waiting: deque[Outgoing] = deque()
        self._sending: list[Outgoing] = []
        self._bytes = 0
        self.published = 0
        self._accepted = 0
        self._limit = 0
        self._up = False

    async def __aenter__(self) -> ServiceBusStream:
        """Raises StreamAway; ProjectError for a wrong address or key, or too few rights."""
        self._ended, self._filled = asyncio.Event(), asyncio.Event()
        self._identity = Identity()
        self._administration = self._address.administration(self._identity)
        self._entities = Entities(self._administration, self._endpoint)
        try:
            await self._first_connection()
        except BaseException:
            await self._administration.close()
            await self._identity.close()
            raise
        tasks = [self._watch(), *([self._count_dead(self._dead)] if self._dead else [])]
        self._tasks = [asyncio.create_task(task, name="service bus") for task in tasks]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._flush()
        await end(self._tasks)
        own = [listening.name for listening in self._listenings if not listening.shared]
        self._up = False
        await self._disconnect()
        await asyncio.gather(*map(self._delete, own))
        await self._administration.close()
        await self._identity.close()

    @property
    def connected(self) -> bool:
        return self._up

    @property
    def limit(self) -> int:
        return self._limit

    def linger(self, seconds: float) -> None:
        """Nothing to save here: while a batch is under way, what follows gathers by itself."""

    def publish(self, subject: str, payload: bytes) -> None:
        if len(payload) > self._limit:
            raise TooLarge(f"a frame of {len(payload)} bytes; this Service Bus takes {self._limit}")
        keep = subject.partition(".")[0] in KEPT_SUBJECTS
        if not self._up:
            if not keep:
                raise StreamAway("the message stream is away; try again in a moment")
            subject = AGAIN
        self._waiting.append(Outgoing(subject, payload, keep))
        self.published += 1
        self._bytes += len(payload)
        while self._bytes > REMEMBER_BYTES:
            oldest = self._waiting.popleft()
            self._accepted += 1
            self._bytes -= len(oldest.payload)
            self._lost(int(oldest.keep))
        self._filled.set()

    async def subscribe(
        self, subject: str, receive: Receive, group: str = "", *, settles: bool = False
    ) -> ServiceBusSubscription:
        if "*" in subject:
            raise ProjectError("a model with `stream = true` needs a NATS stream")
        self._require_connection()
        client = self._client
        listening = Listening(
            subject,
            receive,
            group=group,
            own=f"{self._own}{len(self._listenings)}{secrets.token_hex(4)}",
            settles=settles,
            failed=self._on_failure,
            sent=self._has_taken,
        )
        await listening.open(client, self._entities)
        if client is not self._client:
            await listening.finish()
            raise StreamAway("the message stream went away; try again in a moment")
        self._listenings.append(listening)
        return ServiceBusSubscription(self, listening)

    async def leave(self, listening: Listening) -> None:
        """What was published before is handled; what it has not settled yet, it still may."""
        await self._flush()
        if listening not in self._listenings:
            return
        self._listenings.remove(listening)
        await listening.stop()
        if listening.owes:
            self._leaving.append(listening)
            return
        await listening.finish()
        if not listening.shared:
            await self._delete(listening.name)

    async def _delete(self, name: str) -> None:
        """Or the service does, once it has been idle for long enough."""
        with suppress(StreamAway, ProjectError):
            await self._entities.delete(name)

    async def read(self, after: int, limit: int, wait: float) -> list[Kept]:
        self._require_connection()
        return await self._kept.read(after, limit, wait)

    async def last(self) -> int:
        self._require_connection()
        await self._flush()  # or it would not count what this connection has published
        return await self._kept.last()

    async def trim(self, upto: int) -> None:
        self._require_connection()
        await self._kept.trim(upto)

    def _require_connection(self) -> None:
        if not self._up:
            raise StreamAway("the message stream is away; try again in a moment")

    # --- out --------------------------------------------------------------------------------

    async def _send_all(self) -> None:
        """One batch after the other, so that what one connection publishes is kept in that order."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._waiting:
                self._sending = self._next_batch()
                await self._send()

    async def _send(self) -> None:
        batch = await self._sender.create_message_batch()
        for outgoing in self._sending:
            batch.add_message(outgoing.message())
        try:
            await self._sender.send_messages(batch, timeout=SEND_SECONDS)
        except ServiceBusQuotaExceededError as error:
            await self._wait_for_room(error)
        else:
            self._bytes -= sum(len(outgoing.payload) for outgoing in self._sending)
            self._accepted += len(self._sending)
            self._sending = []
            self._overdue(0)

    def _next_batch(self) -> list[Outgoing]:
        """What waits, up to the largest batch; at least one."""
        batch = [self._waiting.popleft()]
        size = len(batch[0].payload) + ENVELOPE_BYTES
        while self._waiting and size + len(self._waiting[0].payload) + ENVELOPE_BYTES <= self._limit:
            batch.append(self._waiting.popleft())
            size += len(batch[-1].payload) + ENVELOPE_BYTES
        return batch

    async def _wait_for_room(self, error: ServiceBusQuotaExceededError) -> None:
        """The topic is full: nothing new reaches anybody; what is to be kept is tried again."""
        log.error("stream: the topic is full: %s", str(error).partition("\n")[0])
        self._keep_for_readers()
        self._overdue(len(self._waiting))
        await asyncio.sleep(FULL_SECONDS)

    def _keep_for_readers(self) -> None:
        """What the broker may not have: sent again, before anything new, to readers only.

        A crash repeats a message, it loses none: readers drop what they have seen.
        """
        again = [each._replace(subject=AGAIN) for each in (*self._sending, *self._waiting) if each.keep]
        self._sending = []
        self._waiting = deque(again)
        self._bytes = sum(len(each.payload) for each in again)
        self._accepted = self.published - len(again)
        self._filled.set()

    async def _flush(self) -> None:
        """Wait until the broker has all that was published; not for ever, and not while it is away."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._has_taken(self.published)

    async def _has_taken(self, count: int) -> bool:
        while self._up and self._accepted < count:
            await asyncio.sleep(0.002)
        return self._up

    # --- the connection ---------------------------------------------------------------------

    async def _first_connection(self) -> None:
        reason = ""
        try:
            async with asyncio.timeout(FIRST_SECONDS):
                while not self._up:
                    try:
                        await self._connect()
                    except StreamAway as error:
                        reason = str(error)
                        await asyncio.sleep(RETRY_SECONDS)
        except TimeoutError:
            raise StreamAway(f"no message stream within {FIRST_SECONDS:g} s: {reason}") from None

    async def _connect(self) -> None:
        """One try. Raises StreamAway, ProjectError."""
        self._ended.clear()
        await self._entities.ensure()
        self._client: ServiceBusClient = self._address.client(self._identity)
        self._kept = KeptMessages(self._client, self._entities.topic)
        self._sending_task: asyncio.Task[None] | None = None
        try:
            with translated(f"sending to {self._entities.topic}"):
                self._sender: ServiceBusSender = self._client.get_topic_sender(self._entities.topic)
                self._limit = (await self._sender.create_message_batch()).max_size_in_bytes - ENVELOPE_BYTES
            await asyncio.gather(*(each.open(self._client, self._entities) for each in self._listenings))
        except BaseException:
            await self._disconnect()
            raise
        self._keep_for_readers()
        self._sending_task = asyncio.create_task(self._guarded_sending(), name="service bus sending")
        # No await since the last look: what is published from now on goes to those who listen.
        self._up = True

    async def _guarded_sending(self) -> None:
        try:
            await self._send_all()
        except Exception as error:
            self._on_failure(error)

    async def _disconnect(self) -> None:
        if self._sending_task is not None:
            await end([self._sending_task])
        await asyncio.gather(*(each.finish() for each in (*self._listenings, *self._leaving)))
        self._leaving.clear()
        with suppress(StreamAway), translated("closing"):
            await self._kept.close()
        with suppress(StreamAway), translated("closing"):
            await self._client.close()

    def _on_failure(self, error: Exception) -> None:
        if self._up:
            log.warning("stream: the connection is gone: %s", str(error).partition("\n")[0] or repr(error))
        self._up = False
        self._ended.set()

    async def _watch(self) -> None:
        """Notice a connection that ended, and connect again."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(PULSE_SECONDS):
                    await self._ended.wait()
            if self._ended.is_set():
                await self._reconnect()
            elif not self._listenings:
                await self._feel_the_pulse()

    async def _feel_the_pulse(self) -> None:
        """Who listens notices by itself that nobody is there; who does not has to ask."""
        try:
            await self._kept.read(2**62, 1, 0)
        except StreamAway as error:
            self._on_failure(error)

    async def _reconnect(self) -> None:
        await self._disconnect()
        self._keep_for_readers()
        while True:
            try:
                await self._connect()
            except (StreamAway, ProjectError) as error:
                log.warning("stream: not connected: %s", error)
            else:
                log.warning("stream: connected again")
                return
            self._overdue(len(self._waiting))
            await asyncio.sleep(RETRY_SECONDS)

    async def _count_dead(self, tell: Callable[[int], None]) -> None:
        while True:
            try:
                tell(await self._entities.dead_letters())
            except (StreamAway, ProjectError) as error:
                log.warning("stream: %s", error)
            await asyncio.sleep(DEAD_SECONDS)
