"""SQL over the tables as they are now, by the engine that deltalake brings along.

It reads the table's own list of files, skips those that cannot match by their statistics, and streams.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from arro3.core import RecordBatch, Table
from deltalake import DeltaTable, QueryBuilder

from podium.archive.columns import empty
from podium.errors import ArchiveError


def rows(query: str, **tables: DeltaTable) -> RecordBatch:
    """All rows of a query over tables as they are now, called as the arguments are, in memory.

    Raises ArchiveError where they cannot be read.
    """
    try:
        return _rows(query, tables)
    except Exception:  # whatever Arrow raises; perhaps somebody removed rows, and the files that held them
        try:
            return _rows(query, tables)
        except Exception as error:
            raise ArchiveError(f"the archive cannot be read: {error}") from None


def _rows(query: str, tables: Mapping[str, DeltaTable]) -> RecordBatch:
    engine = QueryBuilder()
    for called, table in tables.items():
        table.update_incremental()
        engine.register(called, table)
    found: Table = Table.from_arrow(engine.execute(query))
    if found.num_rows:
        return found.combine_chunks().to_batches()[0]
    kinds = [found.schema.field(name).type for name in found.schema.names]
    return RecordBatch.from_arrays([empty(kind) for kind in kinds], schema=found.schema)


def row(query: str, **tables: DeltaTable) -> tuple[Any, ...]:
    """The only row of a query."""
    found = rows(query, **tables)
    return tuple(found.column(name).to_pylist()[0] for name in found.schema.names)


def name(column: str) -> str:
    """A column's name, as it may be in a query."""
    return '"' + column.replace('"', '""') + '"'


def text(value: str) -> str:
    """A string, as it may be in a query."""
    return "'" + value.replace("'", "''") + "'"


def texts(values: Iterable[str]) -> str:
    """Strings, as they may be after `IN`."""
    return f"({', '.join(map(text, values))})"


def time(microseconds: int) -> str:
    """A time, of exactly the type that the tables' times have, so that statistics are made use of."""
    return f"""arrow_cast({microseconds}, 'Timestamp(Microsecond, Some("UTC"))')"""
