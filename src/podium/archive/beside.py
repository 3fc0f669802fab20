"""Commits that do not come from the stream: rows of a replay, rows that are to be forgotten.

Whoever makes them works beside the archiver, in another process, with or without a node. Delta's
optimistic concurrency keeps both right: a commit that another one got in the way of fails as a whole,
and is tried again on what the table is then. None of them touches the archiver's state
(`podium.archive.table`), which is why the archiver goes on as if nothing had been.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from arro3.core import RecordBatch
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from podium.archive.table import PARQUET, widened
from podium.errors import ArchiveError

ATTEMPTS = 20
PAUSE_SECONDS = 0.1
"""The archiver commits once a second and merges now and then: nobody is in the way twenty times."""

T = TypeVar("T")


def committed(table: DeltaTable, commit: Callable[[], T]) -> T:
    """Do it on the newest state of the table, again where another commit was first.

    Raises ArchiveError where that never stops, and where the table cannot be written.
    """
    for _ in range(ATTEMPTS):
        table.update_incremental()
        try:
            return commit()
        except CommitFailedError as error:
            problem = error
            time.sleep(PAUSE_SECONDS)
        except (DeltaError, OSError) as error:  # a full disk, a storage that is away
            raise ArchiveError(f"{table.table_uri} cannot be written: {error}") from None
    raise ArchiveError(f"{table.table_uri} is changed by others all the time: {problem}")


class Series:
    """Commits that belong together, of which there is only one at a time for each name.

    Each commit counts the name's transaction up by one, so of two processes that work under one name
    the second finds a number that it did not write, and stops.
    """

    def __init__(self, table: DeltaTable, name: str) -> None:
        self._table = table
        self._name = name
        self._number = self._found()

    def append(self, batch: RecordBatch) -> None:
        """One commit. Raises ArchiveError where another process works under the same name."""

        def write(properties: CommitProperties) -> None:
            write_deltalake(
                self._table,
                widened(batch, self._table),
                mode="append",
                writer_properties=PARQUET,
                commit_properties=properties,
            )

        self.commit(write)

    def commit(self, write: Callable[[CommitProperties], None]) -> None:
        """The same with any commit, which must be made with these properties."""
        committed(self._table, lambda: self._commit(write))

    def _commit(self, write: Callable[[CommitProperties], None]) -> None:
        if self._found() != self._number:
            raise ArchiveError(
                f"{self._name} was written by another process meanwhile; nothing is there twice"
            )
        mark = Transaction(self._name, self._number + 1, int(time.time() * 1000))
        write(CommitProperties(app_transactions=[mark]))
        self._number += 1

    def _found(self) -> int:
        found = self._table.transaction_version(self._name)
        return 0 if found is None else found


def delete(table: DeltaTable, predicate: str) -> int:
    """Remove the rows for which the SQL holds; how many those were.

    The files that held them are written anew without them and stay, unused, until `shred`.
    """
    found = committed(table, lambda: table.delete(predicate, writer_properties=PARQUET))
    return int(found.get("num_deleted_rows") or 0)


def shred(table: DeltaTable) -> None:
    """Delete every file that the table once used and no longer does, also those that a reader may
    still have on its list: such a reader fails, and asks again.

    Files that the log does not know are left alone: they may be those of a commit that is being made.
    The archiver's hourly tidying takes what is left of failed ones.
    """
    table.update_incremental()
    table.create_checkpoint()
    table.cleanup_metadata()  # commits older than the log's retention name values, as statistics
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False, full=False)
