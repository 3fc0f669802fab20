"""Features looked up in a Parquet file or Delta table: held in memory, read anew when it has changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Self

import numpy as np
from arro3.core import Array, DataType, RecordBatch, RecordBatchReader
from arro3.core import Schema as ArrowSchema
from deltalake import DeltaTable, QueryBuilder

from podium.archive import sql
from podium.errors import MissingExtra, ProjectError
from podium.gateway.features.threads import Threads
from podium.gateway.features.values import Found, Why, column_of, defaults, filled_column, joined, of_rows
from podium.run import Features
from podium.schema import DTYPES, Field, Kind, Schema, did_you_mean
from podium.validation import Rows

log = logging.getLogger(__name__)

FIRST_SECONDS = 60.0
"""How long a gateway waits for its table before it answers with defaults."""

KEYS_AT_ONCE = 4096
"""The interpreter lets nobody else run while that many keys are put into an index."""

_ABSENT = -1
_ENGINE_TYPES = {Kind.FLOAT: "DOUBLE", Kind.INT: "BIGINT", Kind.BOOL: "BOOLEAN", Kind.STRING: "VARCHAR"}
_BLANKS = {Kind.FLOAT: "0", Kind.INT: "0", Kind.BOOL: "false", Kind.STRING: "''"}
"""What stands where nothing does, until the default does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed:
    """A whole table: where each key's row is in `rows`, behind which is one more, of defaults.

    `stamp` differs from that of any other state of the table.
    """

    places: dict[Hashable, int]
    rows: Found
    stamp: Hashable

    def look_up(self, keys: Sequence[Hashable]) -> Found:
        places = np.fromiter((self.places.get(key, _ABSENT) for key in keys), np.int64, len(keys))
        return self.rows.taken(places)


class TableSource:
    """A table in memory, looked at each `refresh_s` seconds."""

    def __init__(self, features: Features, asked: Schema, stale: Callable[[int], None]) -> None:
        self._stale = stale
        self._features = features
        self._key = asked[features.key]
        self._place = asked.names.index(features.key)
        self._table = Keyed(places={}, rows=defaults(features.fields, 1, Why.FAILED), stamp=None)
        self._threads = Threads(1, name="features table")

    async def __aenter__(self) -> Self:
        self._threads.start()
        self._loaded = asyncio.Event()
        self._refreshing = asyncio.create_task(self._refresh(), name="gateway features")
        self._stale(1)
        try:
            async with asyncio.timeout(FIRST_SECONDS):
                await self._loaded.wait()
        except TimeoutError:
            log.error("features: %s is not read after %g s", self._features.at, FIRST_SECONDS)
        return self

    async def __aexit__(self, *raised: object) -> None:
        self._refreshing.cancel()
        with suppress(asyncio.CancelledError):
            await self._refreshing
        self._threads.stop()

    async def find(self, parts: Sequence[Rows]) -> Found:
        return self._table.look_up(column_of(parts, self._place))

    async def _refresh(self) -> None:
        while True:
            await self._look()
            self._loaded.set()
            await asyncio.sleep(self._features.refresh_s)

    async def _look(self) -> None:
        """Take the table if it is another one than before; what cannot be read leaves the old one in use."""
        try:
            newer = await self._threads.run(partial(read, self._features, self._key, self._table.stamp))
        except Exception as error:  # storages fail in many ways
            log.error("features: the table is not taken, and what was known is used: %s", error)
            self._stale(1)
            return
        if newer is not None:
            self._table = newer
            log.info("features: %d keys from %s", len(newer.places), self._features.at)
        self._stale(0)


# --- from a file or a Delta table -----------------------------------------------------------


def read(features: Features, key: Field, known: Hashable = None) -> Keyed | None:
    """The whole table, or None where it is still the one with the stamp `known`. Blocks.

    Raises ProjectError with the line in podium.toml for what is no table, lacks a column or has it with
    another type, or has a key twice; MissingExtra.
    """
    try:
        table = _Delta(features.at) if _is_delta(features.at) else _Parquet(features.at)
        if table.stamp == known:
            return None
        return _keyed(table, features.fields, key)
    except _Unusable as error:
        raise ProjectError(f"{features.where}{error}") from None


class _Unusable(Exception):
    """This cannot be used as a table of features; the message says why."""


class _Delta:
    """One version of a Delta table."""

    def __init__(self, uri: str) -> None:
        with _explained():
            self._table = DeltaTable(uri)
            # A table that was made anew begins with version 0 again.
            self.stamp: Hashable = (self._table.metadata().id, self._table.version())
            self.schema = ArrowSchema.from_arrow(self._table.schema())

    def select(self, columns: str) -> Iterator[RecordBatch]:
        with _explained():
            yield from QueryBuilder().register("t", self._table).execute(f"SELECT {columns} FROM t")


class _Parquet:
    """One state of a Parquet file."""

    def __init__(self, file: str) -> None:
        try:
            import duckdb  # an extra: only who has Parquet needs it
        except ModuleNotFoundError:
            raise MissingExtra("DuckDB, which reads Parquet,", "sql") from None
        self._file = file
        self._database = duckdb.connect(config={"threads": 1})
        with _explained():
            found = Path(file).stat()
            self.stamp: Hashable = (found.st_ino, found.st_size, found.st_mtime_ns)
            self.schema = self._reader("*").schema

    def select(self, columns: str) -> Iterator[RecordBatch]:
        with _explained():
            yield from self._reader(columns)

    def _reader(self, columns: str) -> RecordBatchReader:
        relation = self._database.sql(f"SELECT {columns} FROM read_parquet(?)", params=[self._file])
        return RecordBatchReader.from_arrow(relation)


@contextmanager
def _explained() -> Iterator[None]:
    """Engines and storages raise whatever they like."""
    try:
        yield
    except Exception as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise _Unusable(f"it cannot be read: {said[0]}") from None


def _is_delta(at: str) -> bool:
    return "://" in at or Path(at).is_dir()


def _keyed(table: _Delta | _Parquet, schema: Schema, key: Field) -> Keyed:
    for field in (key, *schema.fields):
        _check_column(table.schema, field)
    places: dict[Hashable, int] = {}
    parts = []
    for batch in table.select(_selected(schema, key)):
        keys, rows = _read_batch(batch, schema, key)
        _add(places, keys, key)
        parts.append(rows)
    rows = joined([*parts, defaults(schema, 1, Why.MISSING)])
    return Keyed(places=places, rows=rows, stamp=table.stamp)


def _check_column(there: ArrowSchema, field: Field) -> None:
    if field.name not in there.names:
        known = ", ".join(there.names)
        raise _Unusable(
            f"it has no column {field.name!r}{did_you_mean(field.name, there.names)}; it has {known}"
        )
    kind = there.field(field.name).type
    inner: DataType | None = kind
    for _ in field.shape:
        inner = inner and inner.value_type
    if inner is None or not _fits(inner, field.type):
        raise _Unusable(f"its column {field.name!r} is {_words(kind)}, expected {field}")


def _fits(kind: DataType, wanted: Kind) -> bool:
    match wanted:
        case Kind.FLOAT:
            return any(
                is_kind(kind) for is_kind in (DataType.is_floating, DataType.is_integer, DataType.is_decimal)
            )
        case Kind.INT:
            return DataType.is_integer(kind)
        case Kind.BOOL:
            return DataType.is_boolean(kind)
        case Kind.STRING:
            return DataType.is_string(kind) or DataType.is_large_string(kind) or DataType.is_string_view(kind)


def _words(kind: DataType) -> str:
    """Arrow's name of a type."""
    return str(kind).strip().removeprefix("arro3.core.DataType<").removesuffix(">")


def _selected(schema: Schema, key: Field) -> str:
    """Rows without a key are left out by whoever reads: no request asks for them."""
    columns = []
    for place, field in enumerate((key, *schema.fields)):
        column = sql.name(field.name)
        whole = f"coalesce({column}, {_BLANKS[field.type]})"
        shown = column if field.shape else f"CAST({whole} AS {_ENGINE_TYPES[field.type]})"
        columns += [f"{shown} AS c{place}", f"{column} IS NULL AS n{place}"]
    return ", ".join(columns)


def _read_batch(batch: RecordBatch, schema: Schema, key: Field) -> tuple[list[Hashable], Found]:
    """Its keys, and its rows in their order."""
    there = ~batch.column("n0").to_numpy()
    columns, whys = [], []
    for place, field in enumerate(schema.fields, 1):
        array, null = batch.column(f"c{place}"), batch.column(f"n{place}").to_numpy()
        column, why = _column(field, array, null)
        columns.append(column[there])
        whys.append(why[there])
    keys = np.array(batch.column("c0").to_pylist(), DTYPES[key.type])[there].tolist()
    return keys, Found(columns=columns, why=np.maximum.reduce(whys))


def _column(field: Field, array: Array, null: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if field.shape:
        rows = of_rows(Schema((field,)), [{field.name: value} for value in array.to_pylist()])
        return rows.columns[0], rows.why
    values = array.to_pylist() if field.type is Kind.STRING else array.to_numpy()
    return filled_column(field, np.array(values, field.dtype), null)


def _add(places: dict[Hashable, int], keys: Sequence[Hashable], key: Field) -> None:
    """Put keys behind those that are there, a part at a time: other threads run in between."""
    for start in range(0, len(keys), KEYS_AT_ONCE):
        part = keys[start : start + KEYS_AT_ONCE]
        before = len(places)
        places.update(zip(part, count(before)))
        if len(places) != before + len(part):
            twice = next(k for place, k in enumerate(part, before) if places[k] != place or part.count(k) > 1)
            raise _Unusable(f"its column {key.name!r} has the key {twice!r} more than once")
