"""The tables of one endpoint as they are at one moment, for DuckDB: which files, and rows of some of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from arro3.core import Table as ArrowTable
from deltalake import DeltaTable, QueryBuilder

from podium.archive import reading
from podium.archive.comparing.lake import connected
from podium.archive.engine import parquet, spill_folder
from podium.archive.names import ANSWERS, OUTCOMES, REQUESTS, SCORES, table_uri
from podium.errors import NotFound
from podium.period import microseconds

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SOURCES = (REQUESTS, SCORES, ANSWERS, OUTCOMES)
"""Opened in this order: scores are committed before their requests, so a request that is seen has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of a table, and what the log says of it: bounds of its ids, and of its times of arrival in µs.

    A bound is None where the log has none.
    """

    path: str
    day: date | None = None
    first_id: str | None = None
    last_id: str | None = None
    since: int | None = None
    until: int | None = None

    def may_have(self, first_id: str, last_id: str) -> bool:
        """Whether it may hold an id between these two, or one of them."""
        if self.first_id is None or self.last_id is None:
            return True
        return self.first_id <= last_id and first_id <= self.last_id

    def may_be_of(self, since: int, until: int) -> bool:
        """Whether it may hold a request that came from `since` up to, and without, `until`."""
        if self.since is None or self.until is None:
            return True
        return self.since < until and since <= self.until


class Snapshot:
    """Some tables, their files, and a connection to ask them with. Not safe for several threads."""

    def __init__(
        self, connection: DuckDBPyConnection, archive: str, endpoint: str, tables: Mapping[str, DeltaTable]
    ) -> None:
        self.connection = connection
        self._archive = archive
        self._endpoint = endpoint
        self._tables = tables
        self._is_remote = "://" in archive
        self.files = {name: files_of(table) for name, table in tables.items()}
        self.columns = {name: self._declared(name, table) for name, table in tables.items()}

    def scan(self, name: str, files: Sequence[File], where: str = "true") -> str:
        """What `FROM` takes: the rows of these files for which the SQL holds.

        `where` must mean the same to DuckDB and DataFusion. Of a table elsewhere all files of the same days
        are read, here and now, and the next scan of it takes their place.
        """
        if not files:
            return _none(name)
        if self._is_remote:
            return self._fetched(name, files, where)
        folder = table_uri(self._archive, self._endpoint, name)
        found = parquet(f"{folder}/{file.path}" for file in files)
        # Files from before a table grew lack its newer columns: those of the empty one are the union's.
        return f"(FROM {_none(name)} UNION ALL BY NAME SELECT * FROM {found} WHERE {where})"

    def do(self, statement: str) -> None:
        self.connection.execute(statement)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query).fetchall()

    def row(self, query: str) -> tuple[Any, ...]:
        (found,) = self.rows(query)
        return found

    def _declared(self, name: str, table: DeltaTable) -> Mapping[str, str]:
        """Make an empty table like this one; its columns, with DuckDB's names of their types."""
        empty = ArrowTable.from_batches([], schema=table.schema().to_arrow())
        self.connection.from_arrow(empty).create(_none(name))
        return {column: kind for column, kind, *_ in self.rows(f"DESCRIBE {_none(name)}")}

    def _fetched(self, name: str, files: Iterable[File], where: str) -> str:
        """By deltalake: DuckDB's readers of object storage are extensions, which it would download."""
        days = ", ".join(f"DATE '{day}'" for day in sorted({str(file.day) for file in files}))
        query = f"SELECT * FROM {name} WHERE day IN ({days}) AND {where}"
        found = QueryBuilder().register(name, self._tables[name]).execute(query)
        called = f"fetched_{name}"
        self.do(f"DROP TABLE IF EXISTS {called}")
        self.connection.from_arrow(found).create(called)
        return called


@contextmanager
def opened(archive: str, endpoint: str, tables: Mapping[str, DeltaTable]) -> Iterator[Snapshot]:
    """These tables. Raises MissingExtra without DuckDB; ArchiveError where files go away or memory does not
    suffice, while it is open."""
    with spill_folder() as spill, connected(spill) as connection:
        yield Snapshot(connection, archive, endpoint, tables)


def sources(archive: str, endpoint: str) -> dict[str, DeltaTable]:
    """What lines are made from, as it is now. Raises NotFound where nothing was archived yet."""
    found = {}
    for name in SOURCES:
        try:
            found[name] = reading.table(archive, endpoint, name)
        except NotFound:  # an archive from before this table
            if name in {REQUESTS, SCORES}:
                raise
    return found


def files_of(table: DeltaTable) -> tuple[File, ...]:
    """The files that make up the table now."""
    actions = table.get_add_actions(flatten=True)
    known = set(actions.schema.names)

    def column(name: str) -> list[Any]:
        return list(actions[name].to_pylist()) if name in known else [None] * actions.num_rows

    times = [
        [None if at is None else microseconds(at) for at in column(f"{end}.received")]
        for end in ("min", "max")
    ]
    each = zip(
        column("path"), column("partition.day"), column("min.id"), column("max.id"), *times, strict=True
    )
    return tuple(
        # A path is written as an address, with `%20` for a space.
        File(path=unquote(path), day=day, first_id=first_id, last_id=last_id, since=since, until=until)
        for path, day, first_id, last_id, since, until in each
    )


def _none(name: str) -> str:
    return f"no_{name}"
