"""The stream over NATS with JetStream.

Messages are plain NATS publishes: workers get them at once, and a JetStream stream captures the same
subjects into its file. What the broker has not confirmed to be kept is published again on a new
connection, under the subject `again`, which only readers of the file see, and always before anything
new, so that each publisher's per-source numbers stay in order.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType

from podium.errors import StreamAway, TooLarge
from podium.streams.base import Kept, Receive
from podium.streams.jetstream import Reader, ensure_stream, last_position, purge
from podium.streams.nats_address import Address
from podium.streams.wire import Message, Wire, new_inbox

log = logging.getLogger(__name__)

KEPT = frozenset({"input", "scores", "answers", "decoy", "outcomes"})
KEPT_SUBJECTS = ("input", "scores.*", "answers", "decoy", "outcomes", "again")
RETRY_SECONDS = 0.05
CONNECT_SECONDS = 2.0
FIRST_SECONDS = 10.0
"""How long a broker that was started together with us may take to open its port."""
CONFIRM_EVERY = 64  # messages, or
CONFIRM_SECONDS = 0.05  # whichever comes first
OVERDUE_SECONDS = 2.0
LOOK_SECONDS = 0.5
PING_SECONDS = 5.0
SILENT_PINGS = 2
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

    def attach(self, wire: Wire) -> None:
        self._wire = wire
        self._sid = wire.listen(self._subject, self._on_message, self._group)

    def _on_message(self, message: Message) -> None:
        self._receive(message.payload)

    def settle(self, outcomes: Sequence[str]) -> None:
        """A plain message is delivered once and gone."""

    async def close(self) -> None:
        self._owner.forget(self)
        with suppress(StreamAway):
            await self._wire.unlisten(self._sid)


class NatsStream:
    """A connection to NATS for one endpoint. `async with` connects; see `podium.streams.base.Stream`.

    `lost` is called with the number of messages that the broker could not keep, `overdue`, again and
    again, with the number of those that it should have confirmed by now: they wait here for its return.
    `dead` is never called: NATS puts nothing aside.
    """

    def __init__(
        self,
        url: str,
        endpoint: str,
        *,
        max_bytes: int = NO_LIMIT,
        lost: Callable[[int], None] = lambda count: None,
        overdue: Callable[[int], None] = lambda count: None,
        dead: Callable[[int], None] | None = None,
    ) -> None:
        self._url = url
        self._prefix = f"podium.{endpoint}"
        self._name = f"podium-{endpoint}"
        self._max_bytes = max_bytes
        self._subscriptions: list[NatsSubscription] = []
        self._receipts = _Receipts(lost)
        self._overdue = overdue
        self._reader: Reader | None = None
        self._up = False
        self._linger = 0.0

    async def __aenter__(self) -> NatsStream:
        """Raises StreamAway."""
        self._ended = asyncio.Event()
        try:
            async with asyncio.timeout(FIRST_SECONDS):
                while not self._up:
                    try:
                        await self._connect()
                    except OSError:  # its port is not open yet
                        await asyncio.sleep(RETRY_SECONDS)
        except TimeoutError:
            raise StreamAway(f"no message stream within {FIRST_SECONDS:g} s") from None
        self._watching = asyncio.create_task(self._watch(), name="nats watch")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watching.cancel()
        with suppress(StreamAway, TimeoutError):
            async with asyncio.timeout(2):
                await self._wire.settle()
        self._up = False
        self._wire.close()

    @property
    def limit(self) -> int:
        return self._max_payload

    @property
    def connected(self) -> bool:
        return self._up

    def linger(self, seconds: float) -> None:
        self._linger = self._wire.linger = seconds

    def publish(self, subject: str, payload: bytes) -> None:
        if len(payload) > self._max_payload:
            raise TooLarge(f"a frame of {len(payload)} bytes; the stream takes {self._max_payload}")
        keep = subject.partition(".")[0] in KEPT
        reply = self._receipts.remember(payload) if keep else ""
        if self._up:
            self._wire.publish(f"{self._prefix}.{subject}", payload, reply)
            if self._wire.pending > STUCK_BYTES:
                self._wire.abort()  # it hangs: start over rather than fill the memory
        elif not keep:  # what is to be kept is remembered, and goes out on the next connection
            raise StreamAway("the message stream is away; try again in a moment")

    async def subscribe(
        self, subject: str, receive: Receive, group: str = "", *, settles: bool = False
    ) -> NatsSubscription:
        subscription = NatsSubscription(self, f"{self._prefix}.{subject}", receive, group)
        subscription.attach(self._wire)
        await self._wire.settle()  # without it a request could overtake the subscription
        self._subscriptions.append(subscription)
        return subscription

    def forget(self, subscription: NatsSubscription) -> None:
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    async def read(self, after: int, limit: int, wait: float) -> list[Kept]:
        try:
            if self._reader is None or self._reader.position != after:
                self._forget_reader()
                self._reader = await Reader.open(self._wire, self._name, after)
            return await self._reader.next(limit, wait)
        except (StreamAway, TimeoutError, asyncio.CancelledError) as error:
            self._forget_reader()  # a broker that was restarted does not know the old one
            if isinstance(error, asyncio.CancelledError):
                raise
            raise StreamAway(f"the message stream cannot be read: {error!r}") from None

    def _forget_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    async def last(self) -> int:
        try:
            return await last_position(self._wire, self._name)
        except (StreamAway, TimeoutError) as error:
            raise StreamAway(f"the message stream cannot be read: {error!r}") from None

    async def trim(self, upto: int) -> None:
        try:
            await purge(self._wire, self._name, upto)
        except (StreamAway, TimeoutError) as error:
            raise StreamAway(f"the message stream cannot be trimmed: {error!r}") from None

    # --- the connection ---------------------------------------------------------------------

    async def _connect(self) -> None:
        """One try. Raises OSError, TimeoutError, StreamAway."""
        self._ended.clear()
        async with asyncio.timeout(CONNECT_SECONDS):
            self._wire = await Wire.open(self._url, ended=self._on_end)
        try:
            await self._make_ready()
        except BaseException:
            self._wire.close()  # or its subscriptions would go on beside those of the next
            raise

    async def _make_ready(self) -> None:
        wire = self._wire
        self._reader = None
        self._max_payload = int(wire.info["max_payload"])
        subjects = [f"{self._prefix}.{subject}" for subject in KEPT_SUBJECTS]
        replicas = Address.parse(self._url).replicas
        await ensure_stream(wire, self._name, subjects, max_bytes=self._max_bytes, replicas=replicas)
        inbox = new_inbox()
        wire.listen(f"{inbox}.*", self._receipts.on_receipt)
        for subscription in self._subscriptions:
            subscription.attach(wire)
        await wire.settle()
        self._receipts.restart(inbox)
        sent = 0
        while unsent := self._receipts.after(sent):
            for number, payload, reply in unsent:
                # Readers drop what was kept before the crash: a crash repeats a message, it loses none.
                wire.publish(f"{self._prefix}.again", payload, reply)
                sent = number
            await wire.settle()
        wire.linger = self._linger
        # No await since the last look: what is published from now on goes straight out.
        self._up = True

    def _on_end(self) -> None:
        self._up = False
        self._ended.set()

    async def _watch(self) -> None:
        """Notice a connection that ended, or a broker that hangs, and connect again."""
        asked = time.monotonic()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._ended.wait()
            now = time.monotonic()
            self._overdue(self._receipts.overdue(now))
            if self._ended.is_set():
                log.warning("stream: the broker is away")
                await self._reconnect()
            elif now - asked > PING_SECONDS:
                asked = now
                if self._wire.silent >= SILENT_PINGS:
                    self._wire.abort()
                else:
                    self._wire.ping()

    async def _reconnect(self) -> None:
        while True:
            try:
                await self._connect()
            except (TimeoutError, StreamAway) as error:
                log.warning("stream: not connected: %r", error)
            except OSError:
                pass  # its port is not open yet
            else:
                log.warning("stream: the broker is back")
                return
            await asyncio.sleep(RETRY_SECONDS)
            self._overdue(self._receipts.overdue(time.monotonic()))


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

    def on_receipt(self, message: Message) -> None:
        number = int(message.subject.rpartition(".")[2])
        self._unanswered_since = math.inf if number >= self._asked_number else time.monotonic()
        kept = message.payload and "error" not in json.loads(message.payload)
        while self._open and self._open[0][0] <= number:
            self._bytes -= len(self._open.popleft()[1])
            if not kept:
                self._lost(1)
        if not kept:
            log.error(
                "stream: the broker cannot keep messages: %s", message.payload.decode() or "no responders"
            )

    def _drop_oldest(self) -> None:
        self._bytes -= len(self._open.popleft()[1])
        self._lost(1)
