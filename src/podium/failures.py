"""What a contender last failed with: a file for each, among the boards of a run, for who shows it.

Counts say how often, the archive says of each request; this says in words what is wrong now. A file is
replaced as a whole, by any of the contender's processes, and gone with the run's boards.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from podium.counters import Board

PAUSE_SECONDS = 1.0
"""One that fails with the same words at each request writes them no more often."""

LONGEST = 500
SUFFIX = ".failure"


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """`at` is in seconds since the epoch."""

    error: str
    at: float


class Failures:
    """Notes those of one contender, in the folder of this process's board."""

    def __init__(self, contender: str, board: Board) -> None:
        self._path = _path(board.path.parent, contender)
        self._last = ""
        self._next = 0.0

    def note(self, error: str) -> None:
        now = time.monotonic()
        if error == self._last and now < self._next:
            return
        self._last, self._next = error, now + PAUSE_SECONDS
        content = msgspec.json.encode(Failure(error=error[:LONGEST], at=time.time()))
        written = self._path.with_suffix(f".{os.getpid()}")
        with suppress(OSError):  # a full disk is no reason not to score
            written.write_bytes(content)
            written.replace(self._path)


def read(folder: Path, contender: str) -> Failure | None:
    """None where it has not failed in this run."""
    try:
        return msgspec.json.decode(_path(folder, contender).read_bytes(), type=Failure)
    except (OSError, msgspec.MsgspecError):
        return None


def all_of(folder: Path) -> dict[str, Failure]:
    """Contender → what it last failed with, of those that have failed in this run."""
    names = [path.stem for path in folder.glob(f"*{SUFFIX}")]
    return {name: found for name in names if (found := read(folder, name)) is not None}


def _path(folder: Path, contender: str) -> Path:
    return folder / f"{contender}{SUFFIX}"
