"""A command behind columns: one question at a time, started again when it ends or hangs.

The worker calls this in its event loop's thread, as it calls every model. So nothing here waits longer than
the worker may be silent: a start is not waited for, but heard of at one of the next questions.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict

import numpy as np

from podium.errors import ModelFailed
from podium.models.process.child import Child, Ended, Launch, Slow, TooLong
from podium.models.process.lines import LAST_ID, Answer, Reader, answer_in, question
from podium.models.process.stderr import Allowance
from podium.models.values import rows_of
from podium.schema import Columns, Schema

log = logging.getLogger("podium.command")

START_SECONDS = 50.0
"""How long the first answer after a start may take; a worker is given 60 s to be ready."""

_QUICK_SECONDS = 0.05
"""Most commands have started again by then."""

_REMEMBERED = 1000


class Gone(ModelFailed):
    """The command's life is over; the log has been told."""


class Backoff:
    """When a command may be started again. Time comes in as a number, in seconds."""

    FREE = 3
    """Short lives in a row that cost no wait: a worker halves a batch to find who is to blame."""

    STEADY = 10.0
    FIRST = 0.2
    LONGEST = 10.0
    AFTER_A_HANG = 1.0

    def __init__(self) -> None:
        self._failures = 0
        self._until = 0.0

    def failed(self, now: float, *, lived: float, hung: bool) -> None:
        self._failures = 1 if lived >= self.STEADY else self._failures + 1
        over = self._failures - self.FREE
        pause = min(self.LONGEST, self.FIRST * 2.0 ** min(over - 1, 32)) if over > 0 else 0.0
        self._until = now + max(pause, self.AFTER_A_HANG if hung else 0.0)

    def wait(self, now: float) -> float:
        """Seconds until the next start."""
        return max(0.0, self._until - now)


class Runtime:
    """A command that scores. `start` before the first question; `close`, or dropping it, ends the command.

    `first` are rows that it can score: its first question after each start. `timeout` (s) is how long
    whoever calls may be silent; an answer is awaited for about three quarters of that.
    """

    def __init__(
        self, launch: Launch, inputs: Schema, outputs: Schema, *, first: Columns, timeout: float
    ) -> None:
        self._launch = launch
        self._names = inputs.names
        self._first = question(0, first)
        self._patience = 0.8 * timeout - 0.4
        self._reader = Reader(outputs)
        self._backoff = Backoff()
        self._allowance = Allowance(time.monotonic())
        self._child: Child | None = None
        self._started = 0.0
        self._heard = False
        self._why = ""
        self._number = 0
        self._unanswered: OrderedDict[float, None] = OrderedDict()

    def start(self) -> None:
        """Returns when it has answered for the first time. Raises ModelFailed."""
        self._begin(time.monotonic())
        try:
            self._hear_first(self._started + START_SECONDS)
        except ModelFailed:
            self.close()
            raise

    def close(self) -> None:
        if self._child is not None:
            self._child.stop()
            self._child = None

    def predict(self, columns: Columns) -> dict[str, np.ndarray]:
        """Raises ModelFailed, at once where the command is not there."""
        child = self._ready()
        try:
            return self._asked(child, columns)
        except Gone:
            raise
        except ModelFailed as error:
            if self._allowance.take(time.monotonic()):
                log.warning("%s: %s", self._launch.name, error)
            raise

    def _asked(self, child: Child, columns: Columns) -> dict[str, np.ndarray]:
        number = self._number = self._number % LAST_ID + 1
        self._unanswered[number] = None
        if len(self._unanswered) > _REMEMBERED:
            self._unanswered.popitem(last=False)
        child.send(question(number, {name: columns[name] for name in self._names}))
        try:
            answer = self._answer_to(child, number, time.monotonic() + self._patience)
        except (Ended, TooLong) as error:
            raise self._buried(child, str(error)) from None
        except Slow as error:
            why = f"it has not answered within {self._patience:.1f} s{error}"
            raise self._buried(child, why, hung=True) from None
        return self._reader.read(answer, rows_of(columns))

    def _answer_to(self, child: Child, number: int, until: float) -> Answer:
        while True:
            answer = answer_in(child.line(until))
            if answer.id not in self._unanswered:
                raise ModelFailed(f"it answered the id {answer.id:.12g}, but was asked {number}")
            del self._unanswered[answer.id]
            if answer.id == number:
                return answer
            # Else it is the answer to a question that was given up because of what came before it.

    # --- its lives ----------------------------------------------------------------------------

    def _ready(self) -> Child:
        """The command, if it can be asked now. Raises ModelFailed."""
        now = time.monotonic()
        if self._child is None:
            if wait := self._backoff.wait(now):
                raise ModelFailed(f"{self._why}; it is started again in {wait:.1f} s")
            self._begin(now)
        if not self._heard:
            self._hear_first(now + _QUICK_SECONDS)
        assert self._child is not None
        if self._child.behind:
            raise self._buried(self._child, "it does not read its standard input")
        return self._child

    def _begin(self, now: float) -> None:
        self._child = Child(self._launch)
        self._started = now
        self._heard = False
        self._unanswered.clear()
        self._child.send(self._first)

    def _hear_first(self, until: float) -> None:
        """Its answer to what it can score, whatever that is."""
        assert self._child is not None
        try:
            answer = answer_in(self._child.line(until))
            if answer.id != 0:
                raise ModelFailed(f"it answered the id {answer.id:.12g}, but was asked 0")
        except Slow as error:
            if time.monotonic() - self._started < START_SECONDS:
                raise ModelFailed(f"{self._why}; it is being started again") from None
            why = f"it has not answered within {START_SECONDS:g} s of its start{error}"
            raise self._buried(self._child, why) from None
        except ModelFailed as error:
            raise self._buried(self._child, str(error)) from None
        self._heard = True

    def _buried(self, child: Child, why: str, *, hung: bool = False) -> Gone:
        """The error, once the command is gone and, where that may be, its next life has begun."""
        now = time.monotonic()
        self._why = f"the command failed: {why}"
        child.kill()
        self._child = None
        self._backoff.failed(now, lived=now - self._started, hung=hung)
        log.error("%s: %s", self._launch.name, self._why)
        if not self._backoff.wait(now):
            self._begin(now)
        return Gone(self._why)
