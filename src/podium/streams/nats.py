"""The stream over NATS with JetStream.

Messages are plain NATS publishes: workers get them at once, and a JetStream stream captures the same
subjects into its file. What the broker has not confirmed to be kept is published again under the subject
`again`, which only readers of the file see: on a new connection, before anything new, so that each
publisher's per-source numbers stay in order; and on one to a cluster, where they may not, after a while.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType

from podium.errors import StreamAway, TooLarge
from podium.streams.base import Kept, Receive
from podium.streams.jetstream import NoLeader, Reader, ensure_stream, last_position, purge
from podium.streams.nats_address import Address
from podium.streams.receipts import Receipts
from podium.streams.wire import Message, Wire, new_inbox

log = logging.getLogger(__name__)

KEPT = frozenset({"input", "scores", "answers", "decoy", "outcomes"})
KEPT_SUBJECTS = ("input", "scores.*", "answers", "decoy", "outcomes", "again")
RETRY_SECONDS = 0.05
CONNECT_SECONDS = 2.0
READY_SECONDS = 10.0
STREAM_SECONDS = 5.0
CLUSTER_STREAM_SECONDS = 1.0
"""While a cluster has no leader nobody answers, or keeps the question: it is asked anew soon."""

FIRST_SECONDS = 10.0
"""How long a broker that was started together with us may take to open its port."""
LEADER_SECONDS = 30.0
"""The same of a cluster's servers, to choose who decides among them."""
END_SECONDS = 2.0
LOOK_SECONDS = 0.25
PATIENT_LOOKS = 40
"""So many looks in a row without a sign of life, though each asked for one: the server hangs."""

HASTY_LOOKS = 4
"""The same of a server of a cluster: to leave one that is only slow costs little, there are others."""

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
        self._receipts = Receipts(lost)
        self._overdue = overdue
        self._reader: Reader | None = None
        self._up = False
        self._linger = 0.0
        self._looks = PATIENT_LOOKS
        self._made = False
        self._remaking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> NatsStream:
        """Raises StreamAway."""
        self._ended = asyncio.Event()
        began, bound = asyncio.get_running_loop().time(), FIRST_SECONDS
        try:
            async with asyncio.timeout(bound) as limit:
                while not self._up:
                    try:
                        await self._connect()
                    except NoLeader:
                        bound = LEADER_SECONDS
                        limit.reschedule(began + bound)
                    except (OSError, TimeoutError):  # no port is open yet, or none that answers
                        await asyncio.sleep(RETRY_SECONDS)
        except TimeoutError:
            raise StreamAway(f"no message stream within {bound:g} s") from None
        self._watching = asyncio.create_task(self._watch(), name="nats watch")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(StreamAway, TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await self._wire.settle()
                while self._receipts.each and self._receipts.open:
                    await asyncio.sleep(RETRY_SECONDS)  # a cluster may need what is left a second time
        self._watching.cancel()
        if self._remaking:
            self._remaking.cancel()
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
            async with asyncio.timeout(READY_SECONDS):  # the server may be cut off just now
                await self._make_ready()
        except BaseException:
            self._wire.close()  # or its subscriptions would go on beside those of the next
            raise

    async def _make_ready(self) -> None:
        wire = self._wire
        self._reader = None
        self._max_payload = int(wire.info["max_payload"])
        clustered = bool(wire.info.get("cluster"))
        self._looks = HASTY_LOOKS if clustered else PATIENT_LOOKS
        if clustered and self._made:
            # Answers need no leader, which a cluster may have to choose first.
            self._remaking = asyncio.create_task(self._remake(wire), name="nats stream")
        else:
            await self._ensure(wire)
        inbox = new_inbox()
        wire.listen(f"{inbox}.*", self._receipts.on_receipt)
        for subscription in self._subscriptions:
            subscription.attach(wire)
        await wire.settle()
        self._receipts.restart(inbox, each=clustered)
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

    async def _remake(self, wire: Wire) -> None:
        """It is there, unless somebody has removed it or emptied the cluster."""
        while not wire.closed:
            with suppress(StreamAway):
                return await self._ensure(wire)
            await asyncio.sleep(LOOK_SECONDS)

    async def _ensure(self, wire: Wire) -> None:
        subjects = [f"{self._prefix}.{subject}" for subject in KEPT_SUBJECTS]
        replicas = Address.parse(self._url).replicas
        seconds = CLUSTER_STREAM_SECONDS if wire.info.get("cluster") else STREAM_SECONDS
        await ensure_stream(
            wire, self._name, subjects, max_bytes=self._max_bytes, replicas=replicas, seconds=seconds
        )
        self._made = True

    def _on_end(self) -> None:
        self._up = False
        self._ended.set()

    async def _watch(self) -> None:
        """Notice a connection that ended, or a server that hangs or is cut off, and connect again."""
        heard, quiet = 0, 0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._ended.wait()
            now = time.monotonic()
            self._overdue(self._receipts.overdue(now))
            if self._ended.is_set():
                log.warning("stream: the broker is away")
                await self._reconnect()
                heard, quiet = 0, 0
                continue
            quiet = 0 if self._wire.heard != heard else quiet + 1
            heard = self._wire.heard
            if quiet > self._looks:
                log.warning("stream: nothing is heard of the broker")
                self._wire.abort()
                continue
            if quiet:
                self._wire.ping()
            for payload, reply in self._receipts.late(now):
                self._wire.publish(f"{self._prefix}.again", payload, reply)

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
