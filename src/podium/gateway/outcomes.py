"""What really happened, on its way into the archive.

Off the request path: an outcome is checked, its request is looked up in the archive, and then it is
kept. Nothing here touches a disk; the archiver, which has the tables, says what it knows.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from asyncio import Future
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType

from podium.counters import Board
from podium.errors import (
    BadInput,
    InvalidInput,
    Stopping,
    StreamAway,
    TooManyRequests,
    UnknownRequest,
)
from podium.protocol.frames import FoundFrame, LookupFrame, OutcomesFrame, Reader, encode
from podium.protocol.outcomes import HEADER, ID, OutcomeReader, loads, packed
from podium.records import Outcome
from podium.run import Run
from podium.streams.base import Stream, Subscription

log = logging.getLogger(__name__)

LOOKUP_SECONDS = 3.0
"""The archiver says within two what it knows; where it is away, nobody knows."""

SILENT_SECONDS = 0.2
"""The same once it did not answer, until it answers again: outcomes must not pile up meanwhile."""

CHECKED_AT_ONCE = 64
FUTURE_SECONDS = 300.0
"""How far ahead of this clock another one may be."""

_ID = re.compile(ID)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Outcomes that are on the stream. `unchecked` are those whose request nobody knows yet."""

    outcomes: Sequence[Outcome]
    received: int
    unchecked: int


class Outcomes:
    """Takes in one endpoint's outcomes. `async with` starts listening to the archiver.

    `revision` is the policy's now.
    """

    def __init__(self, run: Run, stream: Stream, board: Board, *, revision: Callable[[], int]) -> None:
        self.stopping = False
        self._revision = revision
        self._run = run
        self._stream = stream
        self._board = board
        self._counted = board.counter("outcomes")
        self._reader = OutcomeReader(run.outputs)
        self._source = f"outcomes-{secrets.token_hex(8)}"
        self._address = f"found.{self._source}"
        self._found = Reader(FoundFrame)
        self._lookups: dict[int, Future[list[int | None]]] = {}
        self._asked = 0
        self._silent = False
        self._seq = 0
        self._received = 0
        self._taking = 0
        self._idle = asyncio.Event()

    # --- in ---------------------------------------------------------------------------------

    async def of_request(self, id: str, body: bytes, observed: str | None) -> Taken:
        """Take the outcome of one request, all its rows.

        Raises UnknownRequest, InvalidInput and NotJSON for what does not fit, TooManyRequests,
        Stopping, StreamAway.
        """
        outcomes = self._reader.of_request(id, body, observed)
        if not _ID.fullmatch(id):
            raise _unknown(id, self._run.endpoint, "path id")
        with self._turn():
            rows = (await self._rows_of([id]))[id]
            if rows == 0:
                raise _unknown(id, self._run.endpoint, "path id")
            if rows is not None and rows != len(outcomes):
                raise InvalidInput(
                    f"request {id!r} has {_count(rows)}, this is {_count(len(outcomes))}",
                    expected=f"a list of {rows} rows" if rows > 1 else "one row",
                )
            _check_time(outcomes[0].observed, f"header {HEADER}")
            return await self._keep(outcomes, unchecked=len(outcomes) if rows is None else 0)

    async def of_many(self, body: bytes) -> Taken:
        """Take the outcomes of many requests, all or none; raises as `of_request` does."""
        outcomes = self._reader.of_many(body)
        with self._turn():
            rows = await self._rows_of(list({outcome.id for outcome in outcomes}))
            for outcome in outcomes:
                self._check(outcome, rows[outcome.id])
            return await self._keep(outcomes, unchecked=sum(rows[o.id] is None for o in outcomes))

    def _check(self, outcome: Outcome, rows: int | None) -> None:
        if rows == 0:
            raise _unknown(outcome.id, self._run.endpoint, f"{outcome.path}.id")
        if rows is not None and outcome.row >= rows:
            raise InvalidInput(
                f"request {outcome.id!r} has no row {outcome.row}",
                path=f"{outcome.path}.row",
                expected=f"0 to {rows - 1}" if rows > 1 else "0: it has one row",
            )
        _check_time(outcome.observed, f"{outcome.path}.observed")

    def refused(self, reason: str) -> None:
        self._board.counter("outcomes_refused", reason=reason).add()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One caller's outcomes, from here until they are on the stream."""
        if self.stopping:
            raise Stopping("this gateway is stopping; send the outcome again")
        if not self._stream.connected:
            raise StreamAway("the message stream is away; try again in a moment")
        if self._taking >= CHECKED_AT_ONCE:
            raise TooManyRequests(f"{self._taking} callers' outcomes are being looked up, which is the limit")
        self._taking += 1
        try:
            yield
        finally:
            self._taking -= 1
            if not self._taking:
                self._idle.set()

    # --- does the archive know the request? -------------------------------------------------

    async def _rows_of(self, ids: Sequence[str]) -> Mapping[str, int | None]:
        """Each request's rows; 0 where there is no such request, None where nobody knows."""
        self._asked += 1
        asked = self._asked
        frame = LookupFrame(
            endpoint=self._run.endpoint,
            revision=self._revision(),
            source=self._source,
            seq=asked,
            reply=self._address,
            ids=list(ids),
        )
        found: Future[list[int | None]] = asyncio.get_running_loop().create_future()
        self._lookups[asked] = found
        try:
            self._stream.publish("lookup", encode(frame))
            async with asyncio.timeout(SILENT_SECONDS if self._silent else LOOKUP_SECONDS):
                rows = await found
        except TimeoutError:
            self._silent = True
            rows = []
        finally:
            del self._lookups[asked]
        return dict(zip(ids, rows if len(rows) == len(ids) else [None] * len(ids), strict=True))

    def _on_found(self, payload: bytes) -> None:
        try:
            frame: FoundFrame = self._found.read(payload)
        except BadInput as error:
            log.error("lookup: %s", error)
            return
        self._silent = False
        waiting = self._lookups.get(frame.frame)
        if waiting is not None and frame.origin == self._source and not waiting.done():
            waiting.set_result(frame.rows)

    # --- out to the archive -----------------------------------------------------------------

    async def _keep(self, outcomes: Sequence[Outcome], *, unchecked: int) -> Taken:
        """Hand the outcomes to the stream; what this returns is archived."""
        now = time.time_ns() // 1000
        for load in loads(outcomes):
            self._stream.publish("outcomes", encode(self._frame(load, now)))
        self._counted.add(len(outcomes))
        return Taken(outcomes=outcomes, received=now, unchecked=unchecked)

    def _frame(self, load: Sequence[Outcome], now: int) -> OutcomesFrame:
        self._seq += 1  # nothing may be awaited between taking a number and publishing
        self._received = max(now, self._received + 1)  # so that of two corrections one is the later
        numbers = [outcome.row for outcome in load]
        return OutcomesFrame(
            endpoint=self._run.endpoint,
            revision=self._revision(),
            source=self._source,
            seq=self._seq,
            ids=[outcome.id for outcome in load],
            numbers=numbers if any(numbers) else None,
            observed=[now if outcome.observed is None else outcome.observed for outcome in load],
            done=self._received,
            columns=packed(self._run.outputs, load),
        )

    # --- start and stop ---------------------------------------------------------------------

    async def __aenter__(self) -> Outcomes:
        self._subscription: Subscription = await self._stream.subscribe(self._address, self._on_found)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(StreamAway):
            await self._subscription.close()

    async def drain(self, seconds: float) -> None:
        """Take nothing new, finish what is being looked up, at most for so long."""
        self.stopping = True
        if self._taking:
            self._idle.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._idle.wait()


def _check_time(observed: int | None, path: str) -> None:
    if observed is not None and not 0 <= observed <= (time.time() + FUTURE_SECONDS) * 1e6:
        what = "in the future" if observed > 0 else "before 1970"
        raise InvalidInput(f"the outcome was observed {what}", path=path, expected="a time that is past")


def _count(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows} rows"


def _unknown(id: str, endpoint: str, path: str) -> UnknownRequest:
    return UnknownRequest(
        f"no request {id!r} on {endpoint!r}: a request's id is in its answer, as `id` and `podium-id`",
        path=path,
    )
