"""NATS with JetStream behind the seam of `podium.streams.base`.

Messages go out as plain publishes, so a listener gets them at once; a JetStream stream captures the
same subjects into its file. Every so often a publish carries a reply subject, on which JetStream
confirms that it has kept everything up to there; what is not confirmed yet is published again after
a reconnect, to `again`, which nobody but readers of the file sees.

Reconnecting is done here and not by the client: a new connection starts empty, so that what is
published again comes before anything new, and a reader's per-source numbers stay in order.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeout
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.client import JetStreamContext
from nats.js.errors import BadRequestError

from podium.errors import StreamAway, TooLarge
from podium.streams.base import Kept, Receive

log = logging.getLogger(__name__)

KEPT = frozenset({"input", "scores", "answers", "decoy", "outcomes"})
RETRY_SECONDS = 0.05
CONFIRM_EVERY = 64  # messages, or
CONFIRM_SECONDS = 0.05  # whichever comes first
OVERDUE_SECONDS = 2.0
REMEMBER_BYTES = 64 * 1024 * 1024
STUCK_BYTES = 32 * 1024 * 1024
NO_LIMIT = -1


class NatsSubscription:
    """One subject's listener; it survives reconnects."""

    def __init__(self, owner: NatsStream, subject: str, receive: Receive, group: str) -> None:
        self._owner = owner
        self._subject = subject
        self._receive = receive
        self._group = group
        self._inner: Any = None

    async def attach(self, client: Client) -> None:
        self._inner = await client.subscribe(self._subject, self._group, cb=self._on_message)

    async def _on_message(self, message: Msg) -> None:
        await self._receive(message.data)

    async def close(self) -> None:
        self._owner.forget(self)
        with suppress(NatsError):
            await self._inner.drain()


class NatsStream:
    """A connection to NATS for one endpoint. `async with` connects; see `podium.streams.base.Stream`.

    `lost` is called with the number of messages that the broker could not keep, `overdue`, again and
    again, with the number of those that it should have confirmed by now: they wait here for its return.
    """

    def __init__(
        self,
        url: str,
        endpoint: str,
        *,
        max_bytes: int = NO_LIMIT,
        lost: Callable[[int], None] = lambda count: None,
        overdue: Callable[[int], None] = lambda count: None,
        connect_seconds: float = 10.0,
    ) -> None:
        self._url = url
        self._prefix = f"podium.{endpoint}"
        self._name = f"podium-{endpoint}"
        self._max_bytes = max_bytes
        self._connect_seconds = connect_seconds
        self._subscriptions: list[NatsSubscription] = []
        self._receipts = _Receipts(lost)
        self._overdue = overdue
        self._reader: _Reader | None = None
        self._up = False

    async def __aenter__(self) -> NatsStream:
        async with asyncio.timeout(self._connect_seconds):
            await self._connect()
        self._reconnecting = asyncio.create_task(self._reconnect(), name="nats reconnect")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reconnecting.cancel()
        with suppress(NatsError, TimeoutError):
            async with asyncio.timeout(2):
                await self._client.flush()
        self._up = False
        with suppress(NatsError):
            await self._client.close()

    @property
    def connected(self) -> bool:
        return self._up and self._client.is_connected

    async def publish(self, subject: str, payload: bytes) -> None:
        if len(payload) > self._client.max_payload:
            raise TooLarge(f"a frame of {len(payload)} bytes; the stream takes {self._client.max_payload}")
        keep = subject.partition(".")[0] in KEPT
        reply = self._receipts.remember(payload) if keep else ""
        if self._client.pending_data_size > STUCK_BYTES:
            self._up = False  # it hangs: start over rather than fill the memory
        try:
            if not self.connected:
                raise StreamAway("the message stream is away; try again in a moment")
            await self._send(f"{self._prefix}.{subject}", payload, reply)
        except StreamAway:
            if not keep:  # what is to be kept is remembered, and goes out on the next connection
                raise

    async def _send(self, subject: str, payload: bytes, reply: str) -> None:
        try:
            await self._client.publish(subject, payload, reply)
        except NatsError as error:
            raise StreamAway(f"the message stream is away: {error}") from None

    async def flush(self) -> None:
        # The client writes to its socket in a task of its own, which the publish has woken already.
        await asyncio.sleep(0)

    async def subscribe(self, subject: str, receive: Receive, group: str = "") -> NatsSubscription:
        subscription = NatsSubscription(self, f"{self._prefix}.{subject}", receive, group)
        try:
            await subscription.attach(self._client)
            await self._settle()  # without it a request could overtake the subscription
        except NatsError as error:
            raise StreamAway(f"the message stream is away: {error}") from None
        self._subscriptions.append(subscription)
        return subscription

    def forget(self, subscription: NatsSubscription) -> None:
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    async def read(self, after: int, limit: int, wait: float) -> list[Kept]:
        try:
            if self._reader is None or self._reader.position != after:
                self._reader = await _Reader.open(self._jetstream, self._name, after)
            return await self._reader.next(limit, wait)
        except (NatsError, TimeoutError, asyncio.CancelledError) as error:
            self._reader = None  # a broker that was restarted does not know the old one
            if isinstance(error, asyncio.CancelledError):
                raise
            raise StreamAway(f"the message stream cannot be read: {error!r}") from None

    async def last(self) -> int:
        try:
            state = (await self._jetstream.stream_info(self._name)).state
        except (NatsError, TimeoutError) as error:
            raise StreamAway(f"the message stream cannot be read: {error!r}") from None
        return state.last_seq if state.messages else 0

    async def trim(self, upto: int) -> None:
        try:
            await self._jetstream.purge_stream(self._name, seq=upto + 1)
        except (NatsError, TimeoutError) as error:
            raise StreamAway(f"the message stream cannot be trimmed: {error!r}") from None

    # --- the connection ---------------------------------------------------------------------

    async def _connect(self) -> None:
        await self._port_open()
        self._client = await nats.connect(
            self._url,
            allow_reconnect=False,
            connect_timeout=2,
            error_cb=self._on_error,
            ping_interval=5,
            pending_size=2 * STUCK_BYTES,
            flusher_queue_size=1 << 20,  # a publish must never wait for a broker that hangs
            skip_subject_validation=True,
        )
        try:
            await self._make_ready()
        except BaseException:
            with suppress(NatsError, OSError):
                await self._client.close()  # or its subscriptions would go on beside those of the next
            raise

    async def _make_ready(self) -> None:
        self._jetstream = self._client.jetstream(timeout=5)
        self._reader = None
        await self._ensure_stream()
        inbox = self._client.new_inbox()
        await self._client.subscribe(f"{inbox}.*", cb=self._receipts.on_receipt)
        for subscription in self._subscriptions:
            await subscription.attach(self._client)
        await self._settle()
        self._receipts.restart(inbox)
        sent = 0
        while unsent := self._receipts.after(sent):
            for number, payload, reply in unsent:
                # Readers drop what was kept before the crash: a crash repeats a message, it loses none.
                await self._send(f"{self._prefix}.again", payload, reply)
                sent = number
            await self._client.flush()
        # No await since the last look: what is published from now on goes straight out.
        self._up = True

    async def _settle(self) -> None:
        """Return when the broker has handled all that this client was told so far.

        The client's ping overtakes commands that its writer has not sent yet; when the first one is
        answered they are sent, so the second one comes after them.
        """
        await self._client.flush()
        await self._client.flush()

    async def _port_open(self) -> None:
        """Wait for the port: the client's own first retry comes only after two seconds."""
        address = urlsplit(self._url)
        while True:
            try:
                _, writer = await asyncio.open_connection(address.hostname, address.port)
            except OSError:
                await asyncio.sleep(RETRY_SECONDS)
            else:
                writer.close()
                return

    async def _ensure_stream(self) -> None:
        """Create the stream that keeps what is published, unless it is there.

        A stream that is made anew starts at the clock, so that its positions lie past those of any
        stream before it, and readers that remember a position stay right.
        """
        config = StreamConfig(
            name=self._name,
            subjects=[f"{self._prefix}.{subject}" for subject in ("input", "scores.*", "answers", "decoy")]
            + [f"{self._prefix}.{subject}" for subject in ("outcomes", "again")],
            retention=RetentionPolicy.LIMITS,
            discard=DiscardPolicy.NEW,  # never drop what is not archived; refuse, loudly
            storage=StorageType.FILE,
            max_bytes=self._max_bytes,
            max_msgs=NO_LIMIT,
            duplicate_window=1,
            first_seq=time.time_ns() // 1000,
        )
        try:
            await self._jetstream.add_stream(config)
        except BadRequestError as error:
            if error.err_code != 10058:  # it exists, with another first position
                raise

    async def _on_error(self, error: Exception) -> None:
        log.warning("stream: %r", error)

    async def _reconnect(self) -> None:
        # Looked at and not called back: where the client's last flush fails, its callback never comes.
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            self._overdue(self._receipts.overdue(time.monotonic()))
            if self._up and not self._client.is_closed:
                continue
            self._up = False
            log.warning("stream: the broker is away")
            await self._drop_client()
            try:
                await self._connect()
            except (NatsError, OSError, TimeoutError, StreamAway) as error:
                log.warning("stream: not connected: %r", error)
            else:
                log.warning("stream: the broker is back")

    async def _drop_client(self) -> None:
        """Close what is left of the old connection; it may hang on a broker that does."""
        with suppress(NatsError, TimeoutError, OSError):
            async with asyncio.timeout(RETRY_SECONDS):
                await self._client.close()


class _Receipts:
    """What this connection has published and the broker has not yet confirmed to have kept."""

    def __init__(self, lost: Callable[[int], None]) -> None:
        self._lost = lost
        self._inbox = ""
        self._next = 0
        self._bytes = 0
        self._open: deque[tuple[int, bytes]] = deque()
        self._asked_number = 0
        self._asked_at = 0.0
        self._unanswered_since = math.inf

    def remember(self, payload: bytes) -> str:
        """Returns the reply subject that asks for a confirmation, or nothing."""
        self._next += 1
        self._open.append((self._next, payload))
        self._bytes += len(payload)
        while self._bytes > REMEMBER_BYTES:
            self._drop_oldest()
        now = time.monotonic()
        if self._next - self._asked_number < CONFIRM_EVERY and now - self._asked_at < CONFIRM_SECONDS:
            return ""
        self._asked_number, self._asked_at = self._next, now
        self._unanswered_since = min(self._unanswered_since, now)
        return f"{self._inbox}.{self._next}"

    def restart(self, inbox: str) -> None:
        """A new connection: receipts of the old one will not come any more."""
        self._inbox = inbox

    def after(self, number: int) -> list[tuple[int, bytes, str]]:
        """What must be published again past this number, the last with a reply subject."""
        again = [(each, payload, "") for each, payload in self._open if each > number]
        if again:
            last, payload, _ = again[-1]
            again[-1] = (last, payload, f"{self._inbox}.{last}")
        return again

    def overdue(self, now: float) -> int:
        """How many messages wait, if the broker has confirmed none for a while; its disk may be full."""
        return len(self._open) if now - self._unanswered_since > OVERDUE_SECONDS else 0

    async def on_receipt(self, message: Msg) -> None:
        number = int(message.subject.rpartition(".")[2])
        self._unanswered_since = math.inf if number >= self._asked_number else time.monotonic()
        kept = message.data and "error" not in json.loads(message.data)
        while self._open and self._open[0][0] <= number:
            self._bytes -= len(self._open.popleft()[1])
            if not kept:
                self._lost(1)
        if not kept:
            log.error("stream: the broker cannot keep messages: %s", message.data.decode() or "no responders")

    def _drop_oldest(self) -> None:
        self._bytes -= len(self._open.popleft()[1])
        self._lost(1)


class _Reader:
    """A consumer of the kept messages from one position on; it needs no acknowledgements."""

    def __init__(self, subscription: JetStreamContext.PullSubscription, position: int) -> None:
        self._subscription = subscription
        self.position = position

    @classmethod
    async def open(cls, jetstream: JetStreamContext, stream: str, after: int) -> _Reader:
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=max(1, after + 1),
            ack_policy=AckPolicy.NONE,
            inactive_threshold=60,
        )
        return cls(await jetstream.pull_subscribe("", stream=stream, config=config), after)

    async def next(self, limit: int, wait: float) -> list[Kept]:
        try:
            messages = await self._subscription.fetch(limit, timeout=wait)
        except NatsTimeout:
            return []
        kept = [Kept(message.metadata.sequence.stream, message.data) for message in messages]
        if kept:
            self.position = kept[-1].position
        return kept
