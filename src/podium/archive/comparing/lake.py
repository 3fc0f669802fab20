"""The tables of one endpoint as DuckDB sees them: one snapshot, one connection, bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from deltalake import DeltaTable, QueryBuilder

from podium.archive import reading
from podium.archive.engine import connect, spill_folder
from podium.archive.names import OUTCOMES, REQUESTS, SCORES
from podium.errors import ArchiveError, NotFound

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY = "4GB"
"""What does not fit is put into a temporary folder, which is removed with the connection."""

_READ = (REQUESTS, SCORES, OUTCOMES)
"""In this order: the archiver commits scores before their requests, so a request that is seen has them."""


class Lake:
    """Requests, scores and outcomes, as views of those names. Not safe for several threads."""

    def __init__(
        self,
        connection: DuckDBPyConnection,
        tables: Mapping[str, DeltaTable],
        columns: Mapping[str, Mapping[str, str]],
    ) -> None:
        self._connection = connection
        self._tables = tables
        self._columns = columns

    def has(self, name: str) -> bool:
        """Whether the table has rows."""
        return name in self._columns

    def columns(self, name: str) -> Mapping[str, str]:
        """A table's columns with DuckDB's names of their types."""
        return self._columns[name]

    def span(self) -> tuple[datetime, datetime] | None:
        """When the first and the last request of the whole archive came in, as the table's log has it."""
        found = self._tables[REQUESTS].get_add_actions(flatten=True)
        times = [found[f"{end}.received"].to_pylist() for end in ("min", "max")]
        known = [[at for at in each if at is not None] for each in times]
        return (min(known[0]), max(known[1])) if all(known) else None

    def do(self, sql: str) -> None:
        self._connection.execute(sql)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql).fetchall()

    def row(self, sql: str) -> tuple[Any, ...]:
        (found,) = self.rows(sql)
        return found

    def arrays(self, sql: str) -> dict[str, np.ndarray]:
        """Each column as an array; NaN where a number is null, None where a text is."""
        found = self._connection.execute(sql).fetchnumpy()
        return {name: _filled(np.ma.asarray(values)) for name, values in found.items()}


@contextmanager
def opened(archive: str, endpoint: str, *, since: date | None = None) -> Iterator[Lake]:
    """The archive as it is now, from the partition of this day on.

    Raises NotFound where nothing was archived yet, MissingExtra without DuckDB; ArchiveError where files go
    away or memory does not suffice, while it is open.
    """
    tables = dict(_tables(archive, endpoint))
    with spill_folder() as spill, connected(spill) as connection:
        for name, table in tables.items():
            _view(connection, name, table, since, remote="://" in archive)
        columns = {name: _described(connection, name) for name in tables}
        yield Lake(connection, tables, columns)


def _tables(archive: str, endpoint: str) -> Iterator[tuple[str, DeltaTable]]:
    for name in _READ:
        try:
            table = reading.table(archive, endpoint, name)
        except NotFound:
            if name != OUTCOMES:
                raise
            continue
        if reading.files(table):
            yield name, table
        elif name != OUTCOMES:
            raise NotFound(
                f"nothing is archived of {endpoint!r} yet: send requests first, as with `podium score`"
            )


@contextmanager
def connected(spill: Path) -> Iterator[DuckDBPyConnection]:
    """DuckDB, whose troubles with files and memory are facts from here on."""
    with connect(spill, memory=MEMORY, ordered=False) as connection:
        import duckdb  # an extra, which is there once there is a connection

        try:
            yield connection
        except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
            problem = str(error).splitlines()[0]
            raise ArchiveError(
                f"the archive cannot be read to its end ({problem}): try again, or a shorter period"
            ) from None


def _view(
    connection: DuckDBPyConnection, name: str, table: DeltaTable, since: date | None, *, remote: bool
) -> None:
    kept = f" WHERE day >= DATE '{since}'" if since else ""
    if remote:
        # DuckDB's own readers of object storage are extensions that it downloads; deltalake has one built in.
        found = QueryBuilder().register(name, table).execute(f"SELECT * FROM {name}{kept}")
        connection.from_arrow(found).create(name)
        return
    files = ", ".join(text(file) for file in reading.files(table))
    connection.execute(
        f"CREATE TEMP VIEW {name} AS SELECT * FROM "
        f"read_parquet([{files}], hive_partitioning = true, union_by_name = true){kept}"
    )


def _described(connection: DuckDBPyConnection, name: str) -> dict[str, str]:
    return {column: kind for column, kind, *_ in connection.execute(f"DESCRIBE {name}").fetchall()}


def _filled(values: np.ma.MaskedArray[Any, Any]) -> np.ndarray:
    missing = np.ma.getmaskarray(values)
    plain: np.ndarray = values.data
    if not missing.any():
        return plain
    plain = plain.astype(float if plain.dtype.kind in "fiub" else object)
    plain[missing] = np.nan if plain.dtype.kind == "f" else None
    return plain


def text(value: str) -> str:
    """A literal of SQL."""
    return "'" + value.replace("'", "''") + "'"


def column(name: str) -> str:
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'
