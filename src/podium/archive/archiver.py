"""Moves kept messages from the stream into the tables.

A message is trimmed from the stream only after its rows are committed, so a crash, a full disk or
a storage that is away delays the tables and loses nothing; and each table knows which messages it
has, so none is archived twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, Protocol

from podium.archive import names
from podium.archive.entries import Door, Entry
from podium.archive.firsts import FirstScores
from podium.archive.large import Bodies, Store
from podium.archive.sightings import Sightings, mark_of
from podium.archive.tables import Tables
from podium.counters import Board
from podium.errors import BadInput, ProjectError, StreamAway
from podium.protocol.frames import ScoresFrame, SeenFrame
from podium.schema import Schema

log = logging.getLogger(__name__)

BATCH_SECONDS = 1.0
BATCH_BYTES = 16 * 1024 * 1024
BATCH_MESSAGES = 8192
FIRST_LIMIT = 16
HIGHEST_LIMIT = 256
POLL_SECONDS = 0.25
BEAT_SECONDS = 0.5
TRIM_SECONDS = 10.0
DRAIN_SECONDS = 5.0
TURN_SECONDS = 5.0
"""A turn counts for so long at most: while the storage was away, what is waited for waits in the stream."""

FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 15.0
LOUD_SECONDS = 60.0

Messages = Sequence[tuple[int, bytes]]


class KeptMessages(Protocol):
    """What the archiver needs of a `podium.streams.base.Stream`."""

    async def read(self, after: int, limit: int, wait: float) -> Messages: ...

    async def trim(self, upto: int) -> None: ...


def utc_today() -> date:
    return datetime.now(UTC).date()


class Archiver:
    """Archives one endpoint's stream until it is told to stop.

    On the board it sets the gauges `beat` (µs since the epoch: it lives), `archived` (requests
    whose answer is in the tables, of all time), `outcomes_archived` (the same of outcomes),
    `archive_failing` (1 while nothing can be written), and counts `junk` (messages that fit no
    table), `duplicates`, `unproven` (frames that the decoy saw, and the archiver cannot show) and
    `bodies_lost`. `store` has what is too large for a frame, where the tables are to have it. `watch`,
    which must not raise, is told what was archived, and, while there is nothing, now and then that there
    was nothing.
    """

    def __init__(
        self,
        stream: KeptMessages,
        *,
        archive: str,
        endpoint: str,
        inputs: Schema,
        outputs: Schema,
        board: Board,
        store: Store | None = None,
        today: Callable[[], date] = utc_today,
        watch: Callable[[Sequence[Entry[Any]]], None] = lambda entries: None,
    ) -> None:
        self._stream = stream
        self._door = Door(endpoint, inputs, outputs)
        self._firsts = FirstScores()
        self._sightings = Sightings()
        self._tables = Tables(archive, endpoint, inputs, outputs)
        self._board = board
        self._bodies = Bodies(store, board)
        self._today = today
        self._watch = watch
        # From the first message that is still there, whatever the tables have: it may be half of a sighting.
        self._after = 0
        self._settled = 0
        self._waited = 0.0
        self._looked = time.monotonic()
        self._trimmed = 0
        self._limit = FIRST_LIMIT
        self._next_trim = 0.0
        self._loud = Loud()

    @property
    def position(self) -> int:
        """Everything that the stream holds up to here is in the tables."""
        return self._after

    async def run(self, stop: asyncio.Event) -> None:
        """Returns after `stop`, with all that the stream then holds archived (or 5 s later).

        Raises ProjectError where a table that is there does not fit the endpoint's schema.
        """
        beat = asyncio.create_task(self._beat(), name="archiver beat")
        try:
            if not await self._persist(self._tables.create, stop):
                return
            self._report()
            while not stop.is_set():
                await self._turn(stop)
            await self._drain(stop)
        finally:
            beat.cancel()
            with suppress(asyncio.CancelledError):
                await beat

    async def _turn(self, stop: asyncio.Event) -> None:
        messages = await self._collect(stop)
        if messages and not await self._store(messages, stop):
            return
        if not messages:
            self._settle()
            await asyncio.to_thread(self._watch, ())
        await self._trim()
        await self._tidy(busy=_is_full(messages))

    async def _drain(self, stop: asyncio.Event) -> None:
        end = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < end:
            messages = await self._collect(stop)
            if not messages or not await self._store(messages, stop):
                break
        self._next_trim = 0.0
        await self._trim()

    # --- from the stream --------------------------------------------------------------------

    async def _collect(self, stop: asyncio.Event) -> list[tuple[int, bytes]]:
        """A batch that is worth a commit: what comes within a second, or as much as memory bears.

        Empty when nothing came for a while; once stopping, waits for nothing.
        """
        messages: list[tuple[int, bytes]] = []
        end = time.monotonic() + BATCH_SECONDS
        while not _is_full(messages) and time.monotonic() < end:
            after = messages[-1][0] if messages else self._after
            limit = self._limit
            found = await self._read(after, limit, stop)
            messages += found
            self._limit = limit_for(found) or limit
            if len(found) > limit // 2:
                continue  # there is probably more
            if stop.is_set():
                break
            await pause(stop, min(POLL_SECONDS, max(0.0, end - time.monotonic())))
        return messages

    async def _read(self, after: int, limit: int, stop: asyncio.Event) -> Messages:
        try:
            return await self._stream.read(after, limit, POLL_SECONDS)
        except StreamAway as error:
            self._loud.say("the stream cannot be read: %s", error)
            await pause(stop, FIRST_BACKOFF)
            return []

    async def _trim(self) -> None:
        """Let the stream forget what is committed; now and then, for it costs the broker work."""
        if self._settled <= self._trimmed or time.monotonic() < self._next_trim:
            return
        self._next_trim = time.monotonic() + TRIM_SECONDS
        with suppress(StreamAway):
            await self._stream.trim(self._settled)
            self._trimmed = self._settled

    # --- into the tables --------------------------------------------------------------------

    async def _store(self, messages: Messages, stop: asyncio.Event) -> bool:
        """Archive a batch however long it takes; False where that failed and it is time to stop."""
        entries = await asyncio.to_thread(self._admit, messages)
        async for part in self._bodies.whole(entries, has=self._tables.has):
            if not await self._persist(partial(self._append, part), stop):
                return False
            await self._bodies.forget(part)
            await asyncio.to_thread(self._watch, part)
        self._after = messages[-1][0]
        self._settle()
        self._report()
        return True

    def _admit(self, messages: Messages) -> list[Entry[Any]]:
        entries: list[Entry[Any]] = []
        for position, payload in messages:
            try:
                entry = self._door.admit(position, payload)
            except BadInput as error:
                self._board.counter("junk").add()
                self._loud.say("message %d is skipped: %s", position, error)
                continue
            if isinstance(entry.frame, ScoresFrame) and not self._firsts.add(entry.frame):
                self._board.counter("duplicates").add()
                continue
            entries += self._rows_of(entry, payload)
        return entries

    def _rows_of(self, entry: Entry[Any], payload: bytes) -> Iterator[Entry[Any]]:
        """The entries that go into tables now: a sighting brings rows once both of its halves are there."""
        now = self._waited
        if isinstance(entry.frame, SeenFrame):
            # After a start its frame may have been trimmed, and it not, because another one waited.
            if not self._tables.has(names.DECOY, *mark_of(entry)):
                yield from self._sightings.seen(entry, now)
            return
        yield entry
        if entry.table == names.REQUESTS:
            yield from self._sightings.sent(entry, payload, now)

    def _settle(self) -> None:
        """After a commit: what no table needs any more may be trimmed."""
        now = time.monotonic()
        self._waited += min(now - self._looked, TURN_SECONDS)
        self._looked = now
        for seen in self._sightings.unproven(self._waited):
            self._board.counter("unproven").add()
            self._loud.say(
                "the decoy saw a frame (%s, %d) other than the one that was kept, or none was kept: the "
                "decoy's table lacks it",
                *mark_of(seen),
            )
        self._settled = self._sightings.whole(self._after)

    def _append(self, entries: Sequence[Entry[Any]]) -> None:
        appended = self._tables.append(entries, self._today())
        self._board.counter("duplicates").add(appended.duplicates)

    async def _persist(self, write: Callable[[], None], stop: asyncio.Event) -> bool:
        """Do it until it succeeds, with back-off; False where it fails and `stop` is set."""
        failing = self._board.gauge("archive_failing")
        backoff = FIRST_BACKOFF
        while True:
            try:
                await asyncio.to_thread(write)
            except ProjectError:
                raise
            except Exception as error:  # storages fail in many ways; none may end the archive
                failing.set(1)
                self._loud.say("ARCHIVING HAS STOPPED, answering goes on; trying again: %s", error)
            else:
                if failing.value:
                    log.warning("archiving goes on")
                failing.set(0)
                return True
            if stop.is_set():
                log.error("stopping with messages that could not be archived; they stay in the stream")
                return False
            await pause(stop, backoff)
            backoff = min(2 * backoff, LONGEST_BACKOFF)

    async def _tidy(self, *, busy: bool) -> None:
        try:
            await asyncio.to_thread(self._tables.tidy, busy=busy)
        except Exception as error:  # the tables are whole without it
            self._loud.say("the tables could not be tidied: %s", error)

    # --- signs of life ----------------------------------------------------------------------

    def _report(self) -> None:
        self._board.gauge("archived").set(self._tables.answered)
        self._board.gauge("outcomes_archived").set(self._tables.outcomes)

    async def _beat(self) -> None:
        beat = self._board.gauge("beat")
        while True:
            beat.set(time.time_ns() // 1000)
            await asyncio.sleep(BEAT_SECONDS)


class Loud:
    """Says each thing that is wrong at once, and again only after a minute."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def say(self, message: str, *details: object) -> None:
        now = time.monotonic()
        if now >= self._said.get(message, 0.0):
            self._said[message] = now + LOUD_SECONDS
            log.error(message, *details)


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Sleep, but not past `stop`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


def limit_for(found: Messages) -> int:
    """How many messages of this size may be asked for at once; 0 where there is nothing to tell."""
    size = sum(len(payload) for _, payload in found)
    return min(HIGHEST_LIMIT, max(1, BATCH_BYTES * len(found) // size)) if size else 0


def _is_full(messages: Messages) -> bool:
    return len(messages) >= BATCH_MESSAGES or sum(len(payload) for _, payload in messages) >= BATCH_BYTES
