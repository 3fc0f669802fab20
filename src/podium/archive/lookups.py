"""Says whether there are requests with these ids: gateways ask it before they take an outcome.

The archiver's process answers, since it has the tables open and knows how far they have come: a
request that was answered a moment ago is in the stream and not in the tables yet.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Protocol

from deltalake import DeltaTable, QueryBuilder

from podium.archive.archiver import Loud
from podium.archive.names import REQUESTS
from podium.archive.reading import table
from podium.errors import BadInput, StreamAway, TooLarge
from podium.protocol.frames import FoundFrame, LookupFrame, Reader, encode

log = logging.getLogger(__name__)

LOOKUP = "lookup"
GROUP = "archiver"
BEHIND_SECONDS = 2.0
"""How long the tables may take to come as far as the stream was when somebody asked."""

POLL_SECONDS = 0.05
IDS_PER_QUERY = 5000


class Listening(Protocol):
    """A subscription."""

    async def close(self) -> None: ...


class Asked(Protocol):
    """What this needs of a `podium.streams.base.Stream`."""

    def publish(self, subject: str, payload: bytes) -> None: ...

    async def subscribe(
        self, subject: str, receive: Callable[[bytes], None], group: str = ""
    ) -> Listening: ...

    async def last(self) -> int: ...


class Question:
    """A lookup, what is found so far, and how far the tables must come before the rest is not there."""

    __slots__ = ("end", "found", "frame", "until")

    def __init__(self, frame: LookupFrame) -> None:
        self.frame = frame
        self.found: dict[str, int] = {}
        self.end: int | None = None
        self.until = 0.0

    @property
    def missing(self) -> list[str]:
        return [id for id in self.frame.ids if id not in self.found]

    def is_due(self, position: int, now: float) -> bool:
        """Whether it is worth a look: the first one, or the last."""
        return self.end is None or position >= self.end or now >= self.until

    def rows(self, *, certain: bool) -> list[int | None]:
        """The answer: what is missing is not there, or, unless that is certain, not known."""
        return [self.found.get(id, 0 if certain else None) for id in self.frame.ids]


class Lookups:
    """Answers one endpoint's lookups. `async with` starts listening.

    `position` says how far the tables have come in the stream.
    """

    def __init__(self, stream: Asked, *, archive: str, endpoint: str, position: Callable[[], int]) -> None:
        self._stream = stream
        self._archive = archive
        self._endpoint = endpoint
        self._position = position
        self._reader = Reader(LookupFrame)
        self._questions: list[Question] = []
        self._asked = asyncio.Event()
        self._table: DeltaTable | None = None
        self._loud = Loud()

    async def __aenter__(self) -> Lookups:
        self._subscription = await self._stream.subscribe(LOOKUP, self._on_question, GROUP)
        self._answering = asyncio.create_task(self._answer(), name="archiver lookups")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(StreamAway):
            await self._subscription.close()
        self._answering.cancel()
        with suppress(asyncio.CancelledError):
            await self._answering

    def _on_question(self, payload: bytes) -> None:
        try:
            self._questions.append(Question(self._reader.read(payload)))
        except BadInput as error:
            log.error("lookup: %s", error)
            return
        self._asked.set()

    async def _answer(self) -> None:
        while True:
            await self._asked.wait()
            await self._turn()
            if not self._questions:
                self._asked.clear()
            elif not self._due():
                await asyncio.sleep(POLL_SECONDS)

    def _due(self) -> list[Question]:
        position, now = self._position(), time.monotonic()
        return [question for question in self._questions if question.is_due(position, now)]

    async def _turn(self) -> None:
        """One look at the tables, for all who ask."""
        if not (due := self._due()):
            return
        position = self._position()  # before the look: what it finds is at least as new
        looked = await self._look(due)
        first = []
        for question in due:
            if looked and question.missing and question.end is None:
                first.append(question)
                continue
            self._questions.remove(question)
            certain = looked and question.end is not None and position >= question.end
            await self._reply(question, certain=certain)
        await self._wait_for_the_tables(first)

    async def _look(self, due: Sequence[Question]) -> bool:
        """Whether the tables could be read."""
        ids = {id for question in due for id in question.missing}
        try:
            found = await asyncio.to_thread(self._rows_of, sorted(ids))
        except Exception as error:  # storages fail in many ways; then nobody knows
            self._loud.say("requests cannot be looked up: %s", error)
            self._table = None
            return False
        for question in due:
            question.found |= {id: found[id] for id in question.missing if id in found}
        return True

    async def _wait_for_the_tables(self, questions: Sequence[Question]) -> None:
        """Look again when they have come as far as the stream is now."""
        if not questions:
            return
        try:
            end = await self._stream.last()
        except StreamAway:
            end = self._position() + 1
        for question in questions:
            question.end = end
            question.until = time.monotonic() + BEHIND_SECONDS

    async def _reply(self, question: Question, *, certain: bool) -> None:
        frame = question.frame
        answer = FoundFrame(
            endpoint=self._endpoint,
            revision=frame.revision,
            source="archiver",
            seq=0,
            origin=frame.source,
            frame=frame.seq,
            rows=question.rows(certain=certain),
        )
        with suppress(StreamAway, TooLarge):  # whoever asked does not wait for ever
            self._stream.publish(frame.reply, encode(answer))

    def _rows_of(self, ids: Sequence[str]) -> dict[str, int]:
        """The number of rows of each request that is in the tables; blocks."""
        if self._table is None:
            self._table = table(self._archive, self._endpoint, REQUESTS)
        self._table.update_incremental()
        query = QueryBuilder().register(REQUESTS, self._table)
        found: dict[str, int] = {}
        for start in range(0, len(ids), IDS_PER_QUERY):
            some = _quoted(ids[start : start + IDS_PER_QUERY])
            sql = f"SELECT id, max(row) + 1 AS rows FROM {REQUESTS} WHERE id IN ({some}) GROUP BY id"
            rows = query.execute(sql).read_all()
            found.update(zip(rows["id"].to_pylist(), rows["rows"].to_pylist(), strict=True))
        return found


def _quoted(ids: Iterable[str]) -> str:
    return ", ".join("'" + id.replace("'", "''") + "'" for id in ids)
