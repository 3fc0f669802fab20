"""The lines as they must be for what is archived now: hours that have changed are made again, as a whole."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from podium.archive.usage.hours import by_day
from podium.archive.usage.ledger import Ledger
from podium.archive.usage.lines import lines
from podium.archive.usage.seen import changes, stale
from podium.archive.usage.snapshot import Snapshot, opened, sources
from podium.archive.usage.table import Writer, existing, hours_of
from podium.errors import ArchiveError

FORMAT = 1
"""Of the lines: another one makes all of them again."""

LOCK = ".usage.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Updated:
    """How many hours were made again; `is_current` is false where another process is at it."""

    hours: int = 0
    is_current: bool = True


def update(archive: str, endpoint: str, *, tolerance: float) -> Updated:
    """Bring the lines up to date. `tolerance` is how far numbers that agree may be apart.

    Readers are not held up. Raises NotFound where nothing was archived yet, MissingExtra without DuckDB, and
    ArchiveError where the archive cannot be read or written; an hour then has its old lines or its new ones,
    and the next update makes again what this one would have made.
    """
    with _alone(archive, endpoint) as is_alone:
        if not is_alone:
            return Updated(is_current=False)
        try:
            hours = _update(archive, endpoint, tolerance)
        except ArchiveError:  # perhaps somebody removed rows, and the files that held them
            hours = _update(archive, endpoint, tolerance)
        return Updated(hours=hours)


def _update(archive: str, endpoint: str, tolerance: float) -> int:
    ledger, definition = Ledger(archive, endpoint), f"{FORMAT}, numbers agree within {tolerance!r}"
    seen = ledger.read(definition)
    there = hours_of(existing(archive, endpoint))
    with opened(archive, endpoint, sources(archive, endpoint)) as now:
        found = changes(now.files, seen or {})
        if seen is not None and not found:
            return 0
        hours = stale(now, found, there) | (there if seen is None else set())
        _replace(now, archive, endpoint, hours, tolerance)
        ledger.write(definition, now.files)
    return len(hours)


def _replace(now: Snapshot, archive: str, endpoint: str, hours: set[int], tolerance: float) -> None:
    writer = Writer(archive, endpoint)
    for day, some in by_day(hours).items():
        writer.replace(day, some, lines(now, endpoint, some, tolerance=tolerance))
    writer.tidy()


@contextmanager
def _alone(archive: str, endpoint: str) -> Iterator[bool]:
    """Whether nobody else on this machine is at it; the system lets go of the lock however that ends.

    An archive elsewhere has none: of two writers the later one fails (`podium.archive.usage.table`).
    """
    if "://" in archive:
        yield True
        return
    folder = Path(archive) / endpoint
    if not folder.is_dir():
        yield True  # nothing is there, which will be said
        return
    try:
        file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ArchiveError(f"{folder} cannot be written: {error.strerror or error}") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(file)
