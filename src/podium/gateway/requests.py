"""Requests as the gateway holds them, one by one and in the groups that share a mailbox."""

from __future__ import annotations

import os
import time
from asyncio import Future
from collections.abc import Iterable, Sequence

from podium.gateway.lineup import Lineup
from podium.records import Answer, Contender
from podium.rendezvous.mailbox import Mailbox
from podium.validation import Rows


class Request:
    """One caller's rows, from arrival to answer.

    `began` is on the monotonic clock, in seconds; `deadline` is the caller's own, in ms.
    """

    __slots__ = ("answer", "began", "caller", "deadline", "forced", "id", "key", "rows", "trace")

    def __init__(
        self,
        rows: Rows,
        answer: Future[Answer],
        began: float,
        *,
        id: str,
        deadline: float | None = None,
        forced: Contender | None = None,
        key: str | None = None,
        caller: str | None = None,
        trace: str | None = None,
    ) -> None:
        self.rows = rows
        self.answer = answer
        self.began = began
        self.id = id
        self.deadline = deadline
        self.forced = forced
        self.key = key
        self.caller = caller
        self.trace = trace

    @property
    def share_key(self) -> str:
        """What decides in whose share it is: the caller's key, else the id."""
        return self.key or self.id

    def succeed(self, answer: Answer) -> None:
        if not self.answer.done():  # the caller may have gone
            self.answer.set_result(answer)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Group:
    """Requests of one frame that ask for the same, and so share a mailbox and its decision.

    `places` are their positions in the frame. The mailbox's clock starts with the youngest, so that
    nobody gets a score before its time, and its deadline is the oldest's, so that nobody waits too long.
    """

    __slots__ = ("began", "mailbox", "places", "requests")

    def __init__(
        self, mailbox: Mailbox, requests: Sequence[Request], places: Sequence[int], began: float
    ) -> None:
        self.mailbox = mailbox
        self.requests = requests
        self.places = places
        self.began = began

    def waited(self, now: float) -> float:
        """Milliseconds since the youngest arrived."""
        return (now - self.began) * 1000

    @property
    def deadline(self) -> float:
        """On the monotonic clock, in seconds."""
        return self.began + self.mailbox.deadline / 1000

    def parted(self, places: Iterable[int]) -> tuple[Group, Group]:
        """Two groups, the first of the requests at these places: what they share so far stays."""
        apart = set(places)
        return self._only(apart), self._only(set(self.places) - apart)

    def _only(self, wanted: set[int]) -> Group:
        kept = [(r, p) for r, p in zip(self.requests, self.places, strict=True) if p in wanted]
        return Group(self.mailbox.copy(), [r for r, _ in kept], [p for _, p in kept], self.began)


def groups_of(requests: Sequence[Request], line: Lineup) -> list[Group]:
    """The groups of one frame: usually one; whoever asks for something of its own is alone.

    Requests in a contender's share are a group apart from the others.
    """
    own = [i for i, request in enumerate(requests) if request.forced or request.deadline is not None]
    if not own and not line.shares:
        return [_group(requests, range(len(requests)), line)]
    places: dict[object, list[int]] = {i: [i] for i in own}
    for i, request in enumerate(requests):
        if i not in places:
            places.setdefault(line.preferred(request.share_key), []).append(i)
    return [_group([requests[i] for i in together], together, line) for together in places.values()]


def _group(requests: Sequence[Request], places: Sequence[int], line: Lineup) -> Group:
    first = requests[0]
    youngest = max(request.began for request in requests)
    spread = (youngest - min(request.began for request in requests)) * 1000
    deadline = line.schedule.deadline if first.deadline is None else first.deadline
    forced = first.forced and line.contender(first.forced.model, first.forced.version)
    mailbox = Mailbox(
        line.schedule,
        deadline=max(0.0, deadline - spread),
        forced=forced or first.forced,
        preferred=None if first.forced else line.preferred(first.share_key),
    )
    return Group(mailbox, requests, places, youngest)


class IdSource:
    """UUIDv7s (RFC 9562): time-ordered, so that the archive's rows of one moment lie together."""

    def __init__(self) -> None:
        self._random = ""
        self._next = 0

    def next(self) -> str:
        start = self._next
        if start >= len(self._random):
            # Random bytes by the kilobyte: one call to the system for many ids.
            self._random = os.urandom(4096).hex()
            start = 0
        self._next = start + 32
        r = self._random[start : start + 19]
        ms = f"{time.time_ns() // 1_000_000:012x}"
        return f"{ms[:8]}-{ms[8:]}-7{r[:3]}-{_VARIANT[r[3]]}{r[4:7]}-{r[7:]}"


_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
