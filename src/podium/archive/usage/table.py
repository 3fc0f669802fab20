"""The table of lines. The lines of an hour are replaced together, in one commit with others of its day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta

from arro3.core import Table as ArrowTable
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import DeltaError

from podium.archive import sql
from podium.archive.beside import Series, delete, shred
from podium.archive.layouts import DAY
from podium.archive.names import USAGE, table_uri
from podium.archive.table import CONFIGURATION, PARQUET
from podium.archive.usage.hours import HOUR_US
from podium.errors import ArchiveError
from podium.period import EPOCH, shown

MOST_FILES = 100
"""Files of the table until small ones are merged."""


@contextmanager
def writing(uri: str) -> Iterator[None]:
    """A full disk or a storage that is away is a fact from here on."""
    try:
        yield
    except (DeltaError, OSError) as error:
        raise ArchiveError(f"{uri} cannot be written: {error}") from None


def existing(archive: str, endpoint: str) -> DeltaTable | None:
    uri = table_uri(archive, endpoint, USAGE)
    return DeltaTable(uri) if DeltaTable.is_deltatable(uri) else None


def hours_of(table: DeltaTable | None) -> set[int]:
    """Those that have lines."""
    if table is None:
        return set()
    found = sql.rows("SELECT DISTINCT arrow_cast(hour, 'Int64') AS hour FROM t", t=table)
    return {at // HOUR_US for at in found.column("hour").to_pylist()}


class Writer:
    """Replaces lines. Only one may be at work for each table; of two the later one fails. Methods block."""

    def __init__(self, archive: str, endpoint: str) -> None:
        self._uri = table_uri(archive, endpoint, USAGE)
        self._series: Series | None = None

    def replace(self, day: date, hours: Sequence[int], lines: ArrowTable) -> None:
        """Instead of the lines of these hours of the day, these; what is read meanwhile are the old ones."""
        if self._series is None:
            self._table = self._opened(lines)
            self._series = Series(self._table, "podium/usage")
        times = sql.texts(shown(EPOCH + timedelta(hours=hour)) for hour in hours)
        predicate = f"{DAY} = '{day}' AND hour IN {times}"

        def write(properties: CommitProperties) -> None:
            write_deltalake(
                self._table,
                lines,
                mode="overwrite",
                predicate=predicate,
                schema_mode="merge",
                writer_properties=PARQUET,
                commit_properties=properties,
            )

        self._series.commit(write)

    def tidy(self) -> None:
        """Merge small files, and delete those that no reader can be using any more."""
        if self._series is None:
            return
        with writing(self._uri):
            self._table.update_incremental()
            if len(self._table.file_uris()) > MOST_FILES:
                self._table.optimize.compact(writer_properties=PARQUET)
            self._table.vacuum(dry_run=False)

    def _opened(self, lines: ArrowTable) -> DeltaTable:
        if not DeltaTable.is_deltatable(self._uri):
            schema = DeltaSchema.from_arrow(lines.schema)
            with writing(self._uri):
                DeltaTable.create(self._uri, schema, partition_by=[DAY], configuration=CONFIGURATION)
        return DeltaTable(self._uri)


def forget(archive: str, endpoint: str, caller: str) -> None:
    """Remove the lines of a caller at once, and what the disk still holds of them."""
    table = existing(archive, endpoint)
    if table is not None:
        delete(table, f"caller = {sql.text(caller)}")
        shred(table)
