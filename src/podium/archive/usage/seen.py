"""Which hours have changed: what the lines were made from is remembered, file by file.

Versions of the tables would not do: what a commit added or removed is in their logs for an hour only. Files
that were merged look like new ones, so their hours are made again, to the same figures; a file that holds a
row forgets it only by being replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from podium.archive import sql
from podium.archive.names import REQUESTS
from podium.archive.usage.hours import HOUR_US, hour_of
from podium.archive.usage.snapshot import File, Snapshot

Files = Mapping[str, Sequence[File]]
"""By table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Files that the lines were not made from, by table, and the spans in hours of files of requests that
    are gone; ends included."""

    new: Files
    gone: tuple[tuple[int, int], ...]

    def __bool__(self) -> bool:
        return any(self.new.values()) or bool(self.gone)

    def has_lost(self, hour: int) -> bool:
        """Whether a file that is gone may have held requests of this hour."""
        return any(first <= hour <= last for first, last in self.gone)


def changes(now: Files, seen: Files) -> Changes:
    """What is different from what was seen."""
    before = {name: {file.path for file in files} for name, files in seen.items()}
    here = {file.path for file in now.get(REQUESTS, ())}
    return Changes(
        new={
            name: tuple(file for file in files if file.path not in before.get(name, ()))
            for name, files in now.items()
        },
        gone=tuple(_hours(file) for file in seen.get(REQUESTS, ()) if file.path not in here),
    )


def _hours(file: File) -> tuple[int, int]:
    """A file without bounds may have held anything."""
    since = 0 if file.since is None else file.since
    until = 2**62 if file.until is None else file.until
    return since // HOUR_US, until // HOUR_US


def stale(now: Snapshot, found: Changes, there: Iterable[int]) -> set[int]:
    """The hours whose lines are to be made again; `there` are those that have lines."""
    lost = {hour for hour in there if found.has_lost(hour)}
    return lost | _of_requests(now, found) | _of_others(now, found)


def _of_requests(now: Snapshot, found: Changes) -> set[int]:
    new = found.new[REQUESTS]
    hours = now.rows(f"SELECT DISTINCT {hour_of('received')} FROM {now.scan(REQUESTS, new)}") if new else []
    return {hour for (hour,) in hours}


def _of_others(now: Snapshot, found: Changes) -> set[int]:
    """Scores, answers and outcomes are of the hour in which their request came, whenever they come."""
    others = {name: files for name, files in found.new.items() if name != REQUESTS and files}
    new = set(found.new[REQUESTS])
    old = [file for file in now.files[REQUESTS] if file not in new]
    if not others or not old:  # then the requests are new too
        return set()
    ids = " UNION ALL ".join(
        f"SELECT DISTINCT id FROM {now.scan(name, files)}" for name, files in others.items()
    )
    now.do(f"CREATE OR REPLACE TEMP TABLE changed AS SELECT DISTINCT id FROM ({ids})")
    first, last = now.row("SELECT min(id), max(id) FROM changed")
    if first is None:
        return set()
    near = [file for file in old if file.may_have(first, last)]
    requests = now.scan(REQUESTS, near, f"id BETWEEN {sql.text(first)} AND {sql.text(last)}")
    hours = now.rows(
        f"SELECT DISTINCT {hour_of('received')} FROM {requests} WHERE id IN (SELECT id FROM changed)"
    )
    return {hour for (hour,) in hours}
