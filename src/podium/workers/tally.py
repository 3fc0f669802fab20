"""What a contender's processes count. Names are those that `status` and `/metrics` read."""

from __future__ import annotations

from podium.counters import Board
from podium.failures import Failures
from podium.protocol.frames import ScoresFrame
from podium.records import Contender


class Tally:
    """Counts a contender's scores on this process's board, and notes what it fails with."""

    def __init__(self, contender: Contender, board: Board) -> None:
        labels = {"model": contender.model, "version": contender.version}
        self._scored = board.counter("scored", **labels)
        self._late = board.counter("late", **labels)
        self._errors = board.counter("errors", **labels)
        self._queue_ms = board.histogram("queue_ms", **labels)
        self._compute_ms = board.histogram("compute_ms", **labels)
        self._ready = board.gauge("ready", **labels)
        self._failures = Failures(contender.name, board)

    def ready(self, value: int) -> None:
        self._ready.set(value)

    def count(self, frame: ScoresFrame, *, requests: int) -> None:
        errors = requests if frame.error is not None else len(frame.errors or ())
        self._scored.add(requests - errors)
        self._errors.add(errors)
        self._late.add(len(frame.late or ()))
        self._queue_ms.add(frame.queue_ms, requests)
        self._compute_ms.add(frame.compute_ms, requests)
        if frame.error is not None:
            self._failures.note(frame.error)
        elif frame.errors:
            self._failures.note(next(iter(frame.errors.values())))
