"""The client for asyncio: `podium.AsyncClient`."""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from asyncio import Task
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from types import TracebackType
from typing import TypeVar, Unpack

from podium.client import calls, replies
from podium.client.async_sockets import AsyncConnections
from podium.client.calls import Address, Call, Endpoint, check_bounds
from podium.client.client import AT_ONCE, BATCH, TIMEOUT
from podium.client.records import Answer, Answers, Outcome, Row, Taken, Wishes
from podium.client.retries import Tries
from podium.client.tables import opened
from podium.client.wire import Reply
from podium.errors import Unreachable

TableT = TypeVar("TableT")


class AsyncClient:
    """`podium.Client` on an event loop: the same calls, for any number of its tasks."""

    def __init__(
        self,
        url: str,
        endpoint: str,
        *,
        timeout: float = TIMEOUT,
        try_timeout: float | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        address = Address.of(url)
        self._endpoint = Endpoint(address, endpoint, headers or {}, api_key)
        self._connections = AsyncConnections(address, cache(lambda: tls or ssl.create_default_context()))
        self._timeout = timeout
        self._try_timeout = math.inf if try_timeout is None else try_timeout

    # --- scoring ----------------------------------------------------------------------------

    async def score(self, row: Row, *, id: str | None = None, **wishes: Unpack[Wishes]) -> Answer:
        """As `Client.score`."""
        return replies.answer(await self._ask(self._endpoint.score_one(row, id, wishes)))

    async def score_rows(
        self, rows: Sequence[Row], *, id: str | None = None, **wishes: Unpack[Wishes]
    ) -> Answers:
        """As `Client.score_rows`."""
        return await self._answers(self._endpoint.score(list(rows), id, wishes))

    def score_many(
        self, rows: Iterable[Row], *, batch: int = BATCH, at_once: int = AT_ONCE, **wishes: Unpack[Wishes]
    ) -> AsyncIterator[Answers]:
        """As `Client.score_many`, for `async for`."""
        check_bounds(batch, at_once)
        return self._in_order(self._endpoint.score_many(calls.parts(rows, batch), wishes), at_once)

    async def score_table(
        self, table: TableT, *, batch: int = BATCH, at_once: int = AT_ONCE, **wishes: Unpack[Wishes]
    ) -> TableT:
        """As `Client.score_table`."""
        check_bounds(batch, at_once)
        source = opened(table)
        sent = self._endpoint.score_many(source.batches(batch), wishes)
        scored: TableT = source.answered([part async for part in self._in_order(sent, at_once)])
        return scored

    # --- outcomes ---------------------------------------------------------------------------

    async def outcome(
        self,
        id: str,
        outcome: Row | Sequence[Row],
        *,
        observed: datetime | None = None,
        timeout: float | None = None,
    ) -> Taken:
        """As `Client.outcome`."""
        return replies.taken_one(await self._ask(self._endpoint.outcome(id, outcome, observed, timeout)))

    async def outcomes(
        self, outcomes: Iterable[Outcome], *, batch: int = BATCH, timeout: float | None = None
    ) -> Taken:
        """As `Client.outcomes`."""
        check_bounds(batch)
        sent = (self._endpoint.outcomes(part, timeout) for part in calls.parts(outcomes, batch))
        return replies.total([replies.taken(await self._ask(call)) for call in sent])

    # --- asking -----------------------------------------------------------------------------

    async def _ask(self, call: Call) -> Reply:
        """Try until there is an answer, a refusal that is meant, or no time left."""
        began = time.monotonic()
        tries = Tries(began, self._timeout if call.timeout is None else call.timeout)
        while True:
            met = await self._try(call, tries.left(time.monotonic()))
            pause = tries.pause(met, time.monotonic())
            if pause is None:
                return replies.accepted(met, call)
            await asyncio.sleep(pause)

    async def _try(self, call: Call, left: float) -> Reply | Unreachable:
        try:
            return await self._connections.ask(call.request, min(left, self._try_timeout))
        except Unreachable as error:
            return error

    async def _answers(self, call: Call) -> Answers:
        return replies.answers(call, await self._ask(call))

    async def _in_order(self, sent: Iterable[Call], at_once: int) -> AsyncIterator[Answers]:
        """The answers, in the order of the calls."""
        waiting: deque[Task[Answers]] = deque()
        try:
            for call in sent:
                waiting.append(asyncio.create_task(self._answers(call), name="podium client"))
                if len(waiting) == at_once:
                    yield await waiting.popleft()
            while waiting:
                yield await waiting.popleft()
        finally:
            for task in waiting:  # only where one has failed, or nobody wants the rest
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    # --- its end ----------------------------------------------------------------------------

    async def close(self) -> None:
        """Close the connections; a call after this opens new ones."""
        await self._connections.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
