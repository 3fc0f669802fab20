"""The boards of processes that come and go: signs of life, and counts that outlive their process.

Counts move between files, and a reader of the folder adds up all files, so every move is made such
that a crash in its middle neither loses nor doubles a count; a reader at that very moment (some
microseconds) may miss those of the one process.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

from podium.counters import SUFFIX, Board, Counts, read, total
from podium.node.process import Life

log = logging.getLogger(__name__)

RETIRED = f"retired{SUFFIX}"
BASE = f"base{SUFFIX}"
RETIRING = ".retiring"
LASTING = ("archived", "outcomes_archived")
"""Gauges that stay true when the process that set them has ended."""


class BoardSign:
    """A process lives while the gauge `beat` on its board changes.

    It is ready when its gauge `ready` is set, or, without `wait_for_ready`, with the first beat.
    """

    def __init__(self, folder: Path, *, wait_for_ready: bool = True) -> None:
        self._folder = folder
        self._wait_for_ready = wait_for_ready

    async def look(self, pid: int) -> Life | None:
        try:
            counts = _counts_of(self._folder, pid)
        except ValueError:  # its first line is being written at this very moment
            return None
        beat = total(counts, "beat")
        if not beat:
            return None
        return Life(beat, not self._wait_for_ready or total(counts, "ready") > 0)


def _counts_of(folder: Path, pid: int) -> Counts:
    return next((read(path) for path in _boards_of(folder, pid)), {})


def _boards_of(folder: Path, pid: int) -> list[Path]:
    return list(folder.glob(f"*-{pid}{SUFFIX}"))


def retire(folder: Path, pid: int) -> None:
    """Add the counts of a process that has ended to `retired`, and remove its board.

    The sum is written beside it first; after a crash in between, `mend` finishes or undoes it.
    """
    for path in _boards_of(folder, pid):
        summed = path.with_suffix(RETIRING)
        retired = folder / RETIRED
        before, counts = read(retired), read(path)
        with Board(summed) as board:
            for part in (before, counts):
                board.absorb(part)
            for name in LASTING:
                if value := max(total(before, name), total(counts, name)):
                    board.gauge(name).set(value)
        path.unlink()
        summed.replace(retired)


def mend(folder: Path) -> None:
    """Finish or undo what a crash interrupted: a sum counts once its process's own board is gone."""
    for summed in folder.glob(f"*{RETIRING}"):
        if summed.with_suffix(SUFFIX).exists():
            summed.unlink()
        else:
            summed.replace(folder / RETIRED)


def fold(folder: Path) -> None:
    """At each `up`: all counters so far become one base board, histograms and gauges start anew.

    The folder is swapped as a whole, so that no crash can double or lose what is in it.
    """
    new, old = folder.with_suffix(".new"), folder.with_suffix(".old")
    if new.exists() and not folder.exists():
        new.replace(folder)  # the swap below was interrupted in its middle
    shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    mend(folder)
    with Board(new / BASE) as board:
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            _absorb_counters(board, path)
    os.replace(folder, old)
    os.replace(new, folder)
    shutil.rmtree(old, ignore_errors=True)


def _absorb_counters(board: Board, path: Path) -> None:
    try:
        board.absorb(read(path), kinds=("counter",))
    except (
        ValueError,
        TypeError,
        MemoryError,
    ) as error:  # half written before a power cut: no reason not to start
        log.warning("the counts in %s are lost: %s", path.name, error)
