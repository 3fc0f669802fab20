"""A command's standard error becomes lines of the log: read at any rate, kept at a bounded one."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections import deque

log = logging.getLogger("podium.command")

BURST = 200
PER_SECOND = 2.0
"""Lines that are kept: so many at once, so many a second in the long run, under 100 MB a day."""

LENGTH = 500
"""Characters of a line that are kept."""

_REMEMBERED = 20
_TELLING = re.compile(r"error|exception|panic|fatal|not found|no such", re.IGNORECASE)
"""Many languages end a report with lines that say nothing: versions, frames, advice."""

_CHUNK = 1 << 18
_REST_SECONDS = 0.001


class Allowance:
    """How many lines may be logged now; what is not used is saved up to a burst. Time comes in."""

    def __init__(self, now: float) -> None:
        self._lines = float(BURST)
        self._at = now
        self.dropped = 0

    def take(self, now: float) -> bool:
        self._lines = min(BURST, self._lines + (now - self._at) * PER_SECOND)
        self._at = now
        if self._lines < 1:
            self.dropped += 1
            return False
        self._lines -= 1
        return True


class Listener:
    """Reads a pipe in a thread of its own until nobody can write to it any more."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self._name = name
        self._last: deque[str] = deque(maxlen=_REMEMBERED)
        self._allowance = Allowance(time.monotonic())
        self._thread = threading.Thread(target=self._listen, name=f"stderr of {name}", daemon=True)
        self._thread.start()

    def last_words(self, seconds: float) -> str:
        """Why it ended, as far as its last lines say it; waits a little for them. Else nothing."""
        self._thread.join(seconds)
        return next((line for line in reversed(self._last) if _TELLING.search(line)), "") or (
            self._last[-1] if self._last else ""
        )

    def _listen(self) -> None:
        begun = b""
        while chunk := self._read():
            *lines, begun = (begun + chunk).split(b"\n")
            self._take(lines)
            begun = begun[: LENGTH * 4]
            if len(chunk) == _CHUNK:
                time.sleep(_REST_SECONDS)  # a flood: the command pays for it, not the frames
        self._take([begun])
        self._tell_of_dropped()
        os.close(self._descriptor)

    def _read(self) -> bytes:
        try:
            return os.read(self._descriptor, _CHUNK)
        except OSError:
            return b""

    def _take(self, lines: list[bytes]) -> None:
        now = time.monotonic()
        said = [line for line in lines if line.strip()]
        for line in said:
            if self._allowance.take(now):
                self._tell_of_dropped()
                log.info("%s: %s", self._name, _text(line))
        self._last.extend(_text(line) for line in said[-_REMEMBERED:])

    def _tell_of_dropped(self) -> None:
        if dropped := self._allowance.dropped:
            self._allowance.dropped = 0
            log.warning("%s: %d lines of its standard error were dropped", self._name, dropped)


def _text(line: bytes) -> str:
    return line.decode(errors="replace").strip()[:LENGTH]
