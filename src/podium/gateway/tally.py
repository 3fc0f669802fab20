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

    def __init__(self, board: Board) -> None:
        self._board = board
        self._revision = board.gauge("revision")
        self._received = board.counter("received")
        self._in_flight = board.gauge("in_flight")
        self._answered = board.counter("answered")
        self._defaulted = board.counter("defaulted")
        self._answer_ms = board.histogram("answer_ms")
        self._of: dict[tuple[str, str], _OfContender] = {}

    def follow(self, policy: Policy) -> None:
        """The gateway uses this revision from now on."""
        for contender in policy.scoring:
            self._contender(contender)
        self._revision.set(policy.revision)

    def received(self, requests: int) -> None:
        self._received.add(requests)

    def refused(self, reason: str) -> None:
        self._board.counter("refused", reason=reason).add()

    def in_flight(self, requests: int) -> None:
        self._in_flight.set(requests)

    def answered(self, contender: Contender, latencies_ms: Sequence[float]) -> None:
        self._answered.add(len(latencies_ms))
        self._contender(contender).answered.add(len(latencies_ms))
        self._answer_ms.add_all(latencies_ms)

    def defaulted(self, latencies_ms: Sequence[float]) -> None:
        self._answered.add(len(latencies_ms))
        self._defaulted.add(len(latencies_ms))
        self._answer_ms.add_all(latencies_ms)

    def scored(self, contender: Contender, ms: float, requests: int) -> None:
        """A frame's scores came back: so long after it was sent, for so many requests."""
        self._contender(contender).score_ms.add(ms, requests)

    def missing(self, contender: Contender, requests: int) -> None:
        self._contender(contender).missing.add(requests)

    def compared(self, contender: Contender, rows: int, agreed: int) -> None:
        self._contender(contender).compared.add(rows)
        self._contender(contender).agreed.add(agreed)

    def _contender(self, contender: Contender) -> _OfContender:
        version = (contender.model, contender.version)  # its role and share may change
        if version not in self._of:
            self._of[version] = _of_contender(self._board, contender)
        return self._of[version]


def _of_contender(board: Board, contender: Contender) -> _OfContender:
    labels = {"model": contender.model, "version": contender.version}
    return _OfContender(
        answered=board.counter("answered_by", **labels),
        missing=board.counter("errors", **labels),
        compared=board.counter("compared", **labels),
        agreed=board.counter("agreed", **labels),
        score_ms=board.histogram("score_ms", **labels),
    )
