"""What a connection has published and the broker has not yet confirmed to have kept.

One server keeps a connection's messages in their order, so a receipt for one is a receipt for all before it,
and only now and then one is asked for. Of a cluster that is not so: while its servers choose another leader
for the stream, messages reach their listeners and nobody keeps them, and the connection does not break. So
there each message has a receipt of its own, and what has none for a while is published again.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator

from podium.streams.jetstream import is_passing
from podium.streams.wire import Message

log = logging.getLogger(__name__)

CONFIRM_EVERY = 64  # messages, or
CONFIRM_SECONDS = 0.05  # whichever comes first
OVERDUE_SECONDS = 2.0
REMEMBER_BYTES = 64 * 1024 * 1024
AGAIN_SECONDS = 2.0
"""So long a cluster has for a receipt: longer than a busy one takes, shorter than its choice of a leader."""

AGAIN_BYTES = 4 * 1024 * 1024
"""So much is published again at a time."""


class Receipts:
    """`lost` is called with the number of messages that the broker will never keep.

    `each` says that each message has a receipt of its own. Times are monotonic, in seconds.
    """

    def __init__(self, lost: Callable[[int], None]) -> None:
        self.each = False
        self._lost = lost
        self._inbox = ""
        self._next = 0
        self._bytes = 0
        self._open: OrderedDict[int, bytes] = OrderedDict()
        self._sent: dict[int, float] = {}
        self._asked_number = 0
        self._asked_at = 0.0
        self._unanswered_since = math.inf

    @property
    def open(self) -> int:
        """How many messages have no receipt yet."""
        return len(self._open)

    def remember(self, payload: bytes) -> str:
        """Returns the reply subject that asks for a receipt, or nothing."""
        self._next += 1
        self._open[self._next] = payload
        self._bytes += len(payload)
        while self._bytes > REMEMBER_BYTES:
            self._forget(next(iter(self._open)))
            self._lost(1)
        now = time.monotonic()
        if self.each:
            self._sent[self._next] = now
        elif self._next - self._asked_number < CONFIRM_EVERY and now - self._asked_at < CONFIRM_SECONDS:
            return ""
        self._asked_number, self._asked_at = self._next, now
        self._unanswered_since = min(self._unanswered_since, now)
        return self._reply(self._next)

    def restart(self, inbox: str, *, each: bool) -> None:
        """A new connection: receipts of the old one will not come any more."""
        self._inbox = inbox
        self.each = each
        if not each:
            self._sent.clear()

    def after(self, number: int) -> list[tuple[int, bytes, str]]:
        """What a new connection must publish again past this number, the last with a reply subject."""
        again = [(each, payload, "") for each, payload in self._open.items() if each > number]
        if self.each:
            now = time.monotonic()
            self._sent.update((each, now) for each, _, _ in again)
            return [(each, payload, self._reply(each)) for each, payload, _ in again]
        if again:
            last, payload, _ = again[-1]
            again[-1] = (last, payload, self._reply(last))
        return again

    def late(self, now: float) -> Iterator[tuple[bytes, str]]:
        """What should have had its own receipt by now, and must be published again, with a reply subject."""
        room = AGAIN_BYTES
        for number, sent in list(self._sent.items()):
            if room <= 0:
                return
            if now - sent > AGAIN_SECONDS and number in self._open:
                self._sent[number] = now
                payload = self._open[number]
                room -= len(payload)
                yield payload, self._reply(number)

    def overdue(self, now: float) -> int:
        """How many messages wait, if the broker has confirmed none for a while; its disk may be full."""
        return len(self._open) if now - self._unanswered_since > OVERDUE_SECONDS else 0

    def on_receipt(self, message: Message) -> None:
        number = int(message.subject.rpartition(".")[2])
        problem = _problem(message)
        if problem is not None and self.each and is_passing(problem):
            return  # it is published again
        for confirmed in self._confirmed(number):
            self._forget(confirmed)
            if problem is not None:
                self._lost(1)
        awaited = bool(self._open) if self.each else number < self._asked_number
        self._unanswered_since = time.monotonic() if awaited else math.inf
        if problem is not None:
            words = problem.get("description", problem)
            log.error("stream: the broker cannot keep messages: %s", words)

    def _confirmed(self, number: int) -> list[int]:
        if self.each:
            return [number] if number in self._open else []
        found = []
        for each in self._open:
            if each > number:
                break
            found.append(each)
        return found

    def _forget(self, number: int) -> None:
        self._bytes -= len(self._open.pop(number))
        self._sent.pop(number, None)

    def _reply(self, number: int) -> str:
        return f"{self._inbox}.{number}"


def _problem(message: Message) -> dict[str, object] | None:
    """The error in an answer; None for a receipt."""
    if not message.payload:
        return {"code": 503, "description": "no responders"}
    error: dict[str, object] | None = json.loads(message.payload).get("error")
    return error
