"""All tables of one endpoint, written by one archiver."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import date
from typing import Any

from podium.archive.entries import Entry
from podium.archive.layouts import Answers, Decoy, Layout, Outcomes, Requests, Scores
from podium.archive.names import OUTCOMES, table_uri
from podium.archive.table import Appended, Table
from podium.schema import Schema

log = logging.getLogger(__name__)

COMPACT_FILES = 100
"""Small files until they are merged."""

BUSY_FILES = 400
"""The same while there is more to archive than time for it."""

VACUUM_SECONDS = 3600.0
FIRST_VACUUM_SECONDS = 60.0


class Tables:
    """What is kept of one endpoint. Methods block; after one has raised, the next looks again at
    what the storage really holds.
    """

    def __init__(self, archive: str, endpoint: str, inputs: Schema, outputs: Schema) -> None:
        # The order of commits: answers come last, so that whoever counts them finds the rest there.
        layouts: tuple[Layout, ...] = (
            Scores(outputs),
            Decoy(inputs),
            Requests(inputs),
            Outcomes(outputs),
            Answers(outputs),
        )
        self._tables = [Table(table_uri(archive, endpoint, layout.name), layout) for layout in layouts]
        self._outcomes = next(each for each in self._tables if each.layout.name == OUTCOMES)
        self._sure = True
        self._next_vacuum = time.monotonic() + FIRST_VACUUM_SECONDS

    @property
    def answered(self) -> int:
        """The number of requests whose answer is archived, of all time."""
        return self._tables[-1].requests

    @property
    def outcomes(self) -> int:
        """The number of outcomes that are archived, of all time, corrections too."""
        return self._outcomes.requests

    def has(self, name: str, source: str, seq: int) -> bool:
        """Whether the table has what this source sent under this number, or later."""
        return next(each for each in self._tables if each.layout.name == name).has(source, seq)

    def create(self) -> None:
        """Open the tables, and make those that are not there; ProjectError where one does not fit."""
        for table in self._tables:
            table.create()

    def append(self, entries: Sequence[Entry[Any]], day: date) -> Appended:
        """Commit what each table does not have yet of these; safe to repeat after an error."""
        if not self._sure:
            for table in self._tables:
                table.open()
        self._sure = False
        done = [
            table.append([entry for entry in entries if entry.table == table.layout.name], day)
            for table in self._tables
        ]
        self._sure = True
        return Appended(
            rows=sum(each.rows for each in done), duplicates=sum(each.duplicates for each in done)
        )

    def tidy(self, *, busy: bool) -> None:
        """One step of upkeep, of one table at a time so that appending never waits for long."""
        fullest = max(self._tables, key=lambda table: table.small_files)
        if fullest.small_files >= (BUSY_FILES if busy else COMPACT_FILES):
            fullest.compact()
        elif not busy and time.monotonic() >= self._next_vacuum:
            self._next_vacuum = time.monotonic() + VACUUM_SECONDS
            for table in self._tables:
                table.vacuum()
