"""The client that waits: `podium.Client`."""

from __future__ import annotations

import math
import ssl
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from functools import cache
from types import TracebackType
from typing import TypeVar, Unpack

from podium.client import calls, replies
from podium.client.calls import Address, Call, Endpoint, check_bounds
from podium.client.records import Answer, Answers, Outcome, Row, Taken, Wishes
from podium.client.retries import Tries
from podium.client.sockets import Connections
from podium.client.tables import opened
from podium.client.wire import Reply
from podium.errors import Unreachable

TIMEOUT = 10.0
BATCH = 1000
AT_ONCE = 4

TableT = TypeVar("TableT")


class Client:
    """Asks one endpoint. Any number of threads may share it; `with`, or `close`, ends its connections.

    A call ends after `timeout` seconds, a single try of it after `try_timeout` if that is given; both must be
    longer than the endpoint's deadline. Tries have the same id, and follow broken connections and the
    statuses 429, 502 and 503, not before their `Retry-After`. `api_key` is the caller's key, if the endpoint
    asks for one, `headers` go with each request; `tls` replaces Python's defaults for `https`.

    Every call raises a PodiumError: that of the refusal (InvalidInput, NotFound, …) with its document as
    `problem`, or Unreachable.
    """

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
        self._connections = Connections(address, cache(lambda: tls or ssl.create_default_context()))
        self._timeout = timeout
        self._try_timeout = math.inf if try_timeout is None else try_timeout

    # --- scoring ----------------------------------------------------------------------------

    def score(self, row: Row, *, id: str | None = None, **wishes: Unpack[Wishes]) -> Answer:
        """One row's answer."""
        return replies.answer(self._ask(self._endpoint.score_one(row, id, wishes)))

    def score_rows(self, rows: Sequence[Row], *, id: str | None = None, **wishes: Unpack[Wishes]) -> Answers:
        """The answer to rows that are one request: one id, one model for all of them."""
        return self._answers(self._endpoint.score(list(rows), id, wishes))

    def score_many(
        self, rows: Iterable[Row], *, batch: int = BATCH, at_once: int = AT_ONCE, **wishes: Unpack[Wishes]
    ) -> Iterator[Answers]:
        """The answers to any number of rows, in their order: a request for each `batch` of them.

        No more than `at_once` requests are on their way, and no more answers are kept.
        """
        check_bounds(batch, at_once)
        return self._in_order(self._endpoint.score_many(calls.parts(rows, batch), wishes), at_once)

    def score_table(
        self, table: TableT, *, batch: int = BATCH, at_once: int = AT_ONCE, **wishes: Unpack[Wishes]
    ) -> TableT:
        """The answers to a pandas or polars DataFrame, as another one: its rows, and pandas' index.

        Its columns are the outputs, and `podium_id`, `podium_row`, `podium_model`, `podium_version`,
        `podium_rule`. Raises TypeError for another kind of table.
        """
        check_bounds(batch, at_once)
        source = opened(table)
        sent = self._endpoint.score_many(source.batches(batch), wishes)
        scored: TableT = source.answered(self._in_order(sent, at_once))
        return scored

    # --- outcomes ---------------------------------------------------------------------------

    def outcome(
        self,
        id: str,
        outcome: Row | Sequence[Row],
        *,
        observed: datetime | None = None,
        timeout: float | None = None,
    ) -> Taken:
        """Say what really happened after a request; its rows in a list if it had several."""
        return replies.taken_one(self._ask(self._endpoint.outcome(id, outcome, observed, timeout)))

    def outcomes(
        self, outcomes: Iterable[Outcome], *, batch: int = BATCH, timeout: float | None = None
    ) -> Taken:
        """The same for many requests, one `batch` after the other; each is taken whole or not at all."""
        check_bounds(batch)
        sent = (self._endpoint.outcomes(part, timeout) for part in calls.parts(outcomes, batch))
        return replies.total(replies.taken(self._ask(call)) for call in sent)

    # --- asking -----------------------------------------------------------------------------

    def _ask(self, call: Call) -> Reply:
        """Try until there is an answer, a refusal that is meant, or no time left."""
        began = time.monotonic()
        tries = Tries(began, self._timeout if call.timeout is None else call.timeout)
        while True:
            met = self._try(call, tries.left(time.monotonic()))
            pause = tries.pause(met, time.monotonic())
            if pause is None:
                return replies.accepted(met, call)
            time.sleep(pause)

    def _try(self, call: Call, left: float) -> Reply | Unreachable:
        try:
            return self._connections.ask(call.request, min(left, self._try_timeout))
        except Unreachable as error:
            return error

    def _answers(self, call: Call) -> Answers:
        return replies.answers(call, self._ask(call))

    def _in_order(self, sent: Iterable[Call], at_once: int) -> Iterator[Answers]:
        """The answers, in the order of the calls."""
        waiting: deque[Future[Answers]] = deque()
        with ThreadPoolExecutor(at_once, thread_name_prefix="podium client") as threads:
            try:
                for call in sent:
                    waiting.append(threads.submit(self._answers, call))
                    if len(waiting) == at_once:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:  # only where one has failed, or nobody wants the rest
                    future.cancel()

    # --- its end ----------------------------------------------------------------------------

    def close(self) -> None:
        """Close the connections; a call after this opens new ones."""
        self._connections.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
