"""What a gateway counts. Names are those that `status` and `/metrics` read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from podium.counters import Board, Counter, Histogram
from podium.records import Contender, Policy


@dataclass(frozen=True, slots=True)
class _OfContender:
    answered: Counter
    missing: Counter
    compared: Counter
    agreed: Counter
    score_ms: Histogram


class Tally:
    """Counts requests, answers and contenders on this process's board."""

    def __init__(self, board: Board, policy: Policy) -> None:
        self._board = board
        self._received = board.counter("received")
        self._in_flight = board.gauge("in_flight")
        self._answered = board.counter("answered")
        self._defaulted = board.counter("defaulted")
        self._answer_ms = board.histogram("answer_ms")
        self._of = {contender: _of_contender(board, contender) for contender in policy.scoring}

    def received(self, requests: int) -> None:
        self._received.add(requests)

    def refused(self, reason: str) -> None:
        self._board.counter("refused", reason=reason).add()

    def in_flight(self, requests: int) -> None:
        self._in_flight.set(requests)

    def answered(self, contender: Contender, latencies_ms: Sequence[float]) -> None:
        self._answered.add(len(latencies_ms))
        self._of[contender].answered.add(len(latencies_ms))
        self._answer_ms.add_all(latencies_ms)

    def defaulted(self, latencies_ms: Sequence[float]) -> None:
        self._answered.add(len(latencies_ms))
        self._defaulted.add(len(latencies_ms))
        self._answer_ms.add_all(latencies_ms)

    def scored(self, contender: Contender, ms: float, requests: int) -> None:
        """A frame's scores came back: so long after it was sent, for so many requests."""
        self._of[contender].score_ms.add(ms, requests)

    def missing(self, contender: Contender, requests: int) -> None:
        self._of[contender].missing.add(requests)

    def compared(self, contender: Contender, rows: int, agreed: int) -> None:
        self._of[contender].compared.add(rows)
        self._of[contender].agreed.add(agreed)


def _of_contender(board: Board, contender: Contender) -> _OfContender:
    labels = {"model": contender.model, "version": contender.version}
    return _OfContender(
        answered=board.counter("answered_by", **labels),
        missing=board.counter("errors", **labels),
        compared=board.counter("compared", **labels),
        agreed=board.counter("agreed", **labels),
        score_ms=board.histogram("score_ms", **labels),
    )
