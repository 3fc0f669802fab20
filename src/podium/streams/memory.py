"""A broker in this process's memory: for tests, and for use without a broker.

`MemoryBroker` is what several connections share; it can crash, lose what it had not kept yet, and
come back. `MemoryStream` is one connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from types import TracebackType

from podium.errors import StreamAway, TooLarge
from podium.streams.base import Kept, Receive

log = logging.getLogger(__name__)

KEPT = frozenset({"input", "scores", "answers", "decoy", "outcomes"})
REMEMBERED = 64
"""How many messages that the broker did take a connection publishes again when it comes back."""


class MemoryBroker:
    """What connections share: the kept messages and those who listen."""

    def __init__(self, *, max_payload: int = 1024 * 1024) -> None:
        self.max_payload = max_payload
        self.up = True
        self.connections: list[MemoryStream] = []
        self._kept: list[bytes] = []
        self._trimmed = 0
        self._listening: list[MemorySubscription] = []
        self._turns: dict[tuple[str, str], int] = {}
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def last(self) -> int:
        """The position of the newest message that was ever kept."""
        return self._trimmed + len(self._kept)

    @property
    def empty(self) -> bool:
        return not self._kept

    def crash(self, *, losing: int = 0) -> None:
        """Go away at once, and forget the newest `losing` messages as if they were never kept."""
        self.up = False
        if losing:
            del self._kept[-losing:]
        self._wake()

    def start(self) -> None:
        """Come back; every connection publishes again what may not have been kept, for readers only."""
        self.up = True
        for connection in self.connections:
            for payload in connection.unconfirmed():
                self.keep(payload)

    def keep(self, payload: bytes) -> None:
        self._kept.append(payload)
        self._wake()

    def read(self, after: int, limit: int) -> list[Kept]:
        start = max(after, self._trimmed)
        found = self._kept[start - self._trimmed : start - self._trimmed + limit]
        return [Kept(start + index, payload) for index, payload in enumerate(found, 1)]

    def trim(self, upto: int) -> None:
        count = max(0, min(upto, self.last) - self._trimmed)
        del self._kept[:count]
        self._trimmed += count

    async def next_arrival(self, wait: float) -> None:
        """Return when something is kept, the broker goes away, or `wait` s have passed."""
        arrival = asyncio.get_running_loop().create_future()
        self._waiting.add(arrival)
        try:
            await asyncio.wait([arrival], timeout=wait)
        finally:
            self._waiting.discard(arrival)

    def _wake(self) -> None:
        for arrival in self._waiting:
            if not arrival.done():
                arrival.set_result(None)

    # --- those who listen -------------------------------------------------------------------

    def listen(self, subscription: MemorySubscription) -> None:
        self._listening.append(subscription)

    def unlisten(self, subscription: MemorySubscription) -> None:
        if subscription in self._listening:
            self._listening.remove(subscription)

    def deliver(self, subject: str, payload: bytes) -> None:
        """Hand a message to everybody without a group, and to one member of each group in turn."""
        groups: dict[str, list[MemorySubscription]] = {}
        for subscription in self._listening:
            if subscription.subject != subject:
                continue
            if subscription.group:
                groups.setdefault(subscription.group, []).append(subscription)
            else:
                subscription.put(payload)
        for group, members in groups.items():
            turn = self._turns.get((subject, group), 0)
            self._turns[subject, group] = turn + 1
            members[turn % len(members)].put(payload)


class MemorySubscription:
    """Somebody who listens: is called in a later turn of the event loop, as with a broker elsewhere."""

    def __init__(self, broker: MemoryBroker, subject: str, receive: Receive, group: str) -> None:
        self.subject = subject
        self.group = group
        self._broker = broker
        self._receive = receive
        self._abandoned = False

    def open(self) -> None:
        self._broker.listen(self)

    def put(self, payload: bytes) -> None:
        asyncio.get_running_loop().call_soon(self._handle, payload)

    def settle(self, outcomes: Sequence[str]) -> None:
        """What was delivered is gone from here."""

    async def close(self) -> None:
        self._broker.unlisten(self)
        await asyncio.sleep(0)  # what was put before is handled before this returns

    def abandon(self) -> None:
        """Stop with the connection: what waits here is lost, as with a connection that breaks."""
        self._broker.unlisten(self)
        self._abandoned = True

    def _handle(self, payload: bytes) -> None:
        if self._abandoned:
            return
        try:
            self._receive(payload)
        except Exception:
            log.exception("a receiver of %s failed", self.subject)


class MemoryStream:
    """A connection to a `MemoryBroker`; see `podium.streams.base.Stream`."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._entered = False
        self._subscriptions: list[MemorySubscription] = []
        self._recent: deque[bytes] = deque(maxlen=REMEMBERED)
        self._waiting: list[bytes] = []

    async def __aenter__(self) -> MemoryStream:
        self._entered = True
        self._broker.connections.append(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered = False
        self._broker.connections.remove(self)
        for subscription in self._subscriptions:
            subscription.abandon()

    @property
    def limit(self) -> int:
        return self._broker.max_payload

    @property
    def connected(self) -> bool:
        return self._entered and self._broker.up

    def publish(self, subject: str, payload: bytes) -> None:
        if len(payload) > self._broker.max_payload:
            raise TooLarge(f"a frame of {len(payload)} bytes; the stream takes {self._broker.max_payload}")
        kept = subject.partition(".")[0] in KEPT
        if kept and not self._broker.up:
            self._waiting.append(payload)
            return
        self._require_connection()
        if kept:
            self._recent.append(payload)
            self._broker.keep(payload)
        self._broker.deliver(subject, payload)

    async def subscribe(
        self, subject: str, receive: Receive, group: str = "", *, settles: bool = False
    ) -> MemorySubscription:
        self._require_connection()
        subscription = MemorySubscription(self._broker, subject, receive, group)
        subscription.open()
        self._subscriptions.append(subscription)
        return subscription

    async def read(self, after: int, limit: int, wait: float) -> list[Kept]:
        self._require_connection()
        if not self._broker.read(after, 1):
            await self._broker.next_arrival(wait)
            self._require_connection()
        return self._broker.read(after, limit)

    async def last(self) -> int:
        self._require_connection()
        return 0 if self._broker.empty else self._broker.last

    async def trim(self, upto: int) -> None:
        self._require_connection()
        self._broker.trim(upto)

    def linger(self, seconds: float) -> None:
        """Nothing to save here: messages come at once."""

    def unconfirmed(self) -> list[bytes]:
        """What the broker may not have kept, in order; asked for when it has come back."""
        payloads = [*self._recent, *self._waiting]
        self._recent.extend(self._waiting)
        self._waiting.clear()
        return payloads

    def _require_connection(self) -> None:
        if not self.connected:
            raise StreamAway("the message stream is away; try again in a moment")
