"""Archived requests of a period, in the order in which they came, as models take them.

They are read in *windows* of time that fit into memory. Each window is a query of its own on what the
table is then, and a request's time never changes: whatever is merged meanwhile, each request is in
exactly one window, with all its rows.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np
from deltalake import DeltaTable

from podium.archive import arrays, sql
from podium.archive.arrays import Values
from podium.archive.columns import STRING, type_name
from podium.archive.layouts import DAY, DIGESTS, Requests
from podium.errors import ArchiveError, SchemaMismatch
from podium.period import EPOCH, Period, shown
from podium.schema import Field, Kind, Schema, same_shape

WINDOW_BYTES = 64 * 1024 * 1024
"""Memory for the inputs of a window, as near as their schema tells."""

SECOND = 1_000_000
UNKNOWN_SIZE = 32
"""Taken for an open axis, and for the characters of a string."""

PREFIX = Requests.prefix
NOT_KEPT = "the request's {} was large, and only its digest is archived: `keep = true` in [large] keeps it"


class Window(NamedTuple):
    """From `since` up to, and without, `until`, in µs; it holds so many requests with so many rows."""

    since: int
    until: int
    requests: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Requests that can be scored together: all rows have the same shapes.

    `rows` is how many rows each has. With an `error` they cannot be scored, and it says why.
    """

    ids: list[str]
    rows: np.ndarray
    columns: dict[str, np.ndarray]
    error: str | None = None

    def first(self, count: int) -> Batch:
        """No more requests than that."""
        rows = self.rows[:count]
        end = int(rows.sum())
        columns = {name: values[:end] for name, values in self.columns.items()}
        return Batch(ids=self.ids[:count], rows=rows, columns=columns, error=self.error)


class Past:
    """The requests of one period, with the inputs that one model takes. Methods block."""

    def __init__(self, table: DeltaTable, period: Period, inputs: Schema) -> None:
        """Raises SchemaMismatch where the archive has not what the model needs."""
        self._table = table
        self._period = period
        self._inputs = inputs
        self._there = fields_there(table, inputs)
        self._columns = table.schema().to_arrow().names

    def windows(self) -> list[Window]:
        """The period in parts that fit into memory. Raises ArchiveError where it has no request."""
        found = sql.rows(
            f"SELECT arrow_cast(date_trunc('second', received), 'Int64') AS at, count(*) AS rows, "
            f"count(*) FILTER (WHERE row = 0) AS requests FROM t WHERE {self._within(self._period_us())} "
            f"GROUP BY 1 ORDER BY 1",
            t=self._table,
        )
        if not found.num_rows:
            raise ArchiveError(f"no request came from {self._period}; {extent(self._table)}")
        at, rows, requests = (found.column(name).to_numpy() for name in ("at", "rows", "requests"))
        return list(windows(at, requests, rows, most_rows=max(1, WINDOW_BYTES // row_bytes(self._there))))

    def read(self, window: Window) -> Requested:
        since, until = self._period_us()
        span = max(window.since, since), min(window.until, until)
        digests = DIGESTS if DIGESTS in self._columns else f"NULL AS {DIGESTS}"
        columns = ", ".join(
            ["id", "row", digests, *(arrays.selected(PREFIX, field) for field in self._there)]
        )
        found = sql.rows(
            f"SELECT {columns} FROM t WHERE {self._within(span)} ORDER BY received, id, row",
            t=self._table,
        )
        ids = found.column("id").cast(STRING).to_pylist()
        starts = np.flatnonzero(found.column("row").to_numpy() == 0)
        return Requested(
            ids=[ids[start] for start in starts],
            starts=np.append(starts, len(ids)),
            inputs=self._inputs,
            values={field.name: arrays.values(found, field) for field in self._there},
            elsewhere=_elsewhere(found.column(DIGESTS).cast(STRING).to_pylist(), found.num_rows),
        )

    def _period_us(self) -> tuple[int, int]:
        return self._period.since_us, self._period.until_us

    def _within(self, span: tuple[int, int]) -> str:
        """Rows are archived after they came: on that day, or, where clocks differ, on the one before."""
        day = (EPOCH + timedelta(microseconds=span[0]) - timedelta(days=1)).date()
        since, until = (sql.time(max(bound, 0)) for bound in span)
        return f"{DAY} >= DATE '{day}' AND received >= {since} AND received < {until}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """One window's requests. `starts` are their first rows, and at the end the number of rows.

    `elsewhere` marks, by input, the rows that were too large for a message: they have a value only where
    the archive was to keep it.
    """

    ids: list[str]
    starts: np.ndarray
    inputs: Schema
    values: Mapping[str, Values]
    elsewhere: Mapping[str, np.ndarray]

    def batches(self, most_rows: int, without: Collection[str] = ()) -> Iterator[Batch]:
        """All requests but those with the ids in `without`, in order."""
        left_out = np.fromiter((id in without for id in self.ids), bool, len(self.ids))
        for begin, last in self._alike(left_out):
            first = begin
            while first < last:
                end = int(np.searchsorted(self.starts, self.starts[first] + most_rows, side="right")) - 1
                end = min(max(end, first + 1), last)
                yield self._batch(first, end)
                first = end

    def _alike(self, left_out: np.ndarray) -> Iterator[tuple[int, int]]:
        """Runs of requests with the same shapes, that all can be scored, or all cannot."""
        rows = self.starts[:-1]
        kinds = [left_out, *(self.values[name].null[rows] for name in self._needed)]
        kinds += [self._is_lost(name)[rows] for name in self._large]
        kinds += [axis for values in self.values.values() for axis in values.shapes[rows].T]
        changed = np.any([kind[1:] != kind[:-1] for kind in kinds], axis=0)
        bounds = [0, *(np.flatnonzero(changed) + 1).tolist(), len(rows)]
        for first, last in pairwise(bounds):
            if first < last and not left_out[first]:
                yield first, last

    @property
    def _large(self) -> list[str]:
        return [name for name in self.elsewhere if name in self.values]

    def _is_lost(self, name: str) -> np.ndarray:
        """Of each row whether that input was there, and is not in the archive."""
        found: np.ndarray = self.elsewhere[name] & self.values[name].null
        return found

    @property
    def _needed(self) -> list[str]:
        return [field.name for field in self.inputs.fields if not field.optional]

    def _batch(self, first: int, last: int) -> Batch:
        rows = slice(int(self.starts[first]), int(self.starts[last]))
        ids, counts = self.ids[first:last], np.diff(self.starts[first : last + 1])
        for name in self._large:
            if self._is_lost(name)[rows.start]:
                return Batch(ids=ids, rows=counts, columns={}, error=NOT_KEPT.format(repr(name)))
        for name in self._needed:
            if self.values[name].null[rows.start]:
                early = f"the request came before the input {name!r}"
                return Batch(ids=ids, rows=counts, columns={}, error=early)
        columns = {field.name: self._column(field, rows) for field in self.inputs.fields}
        for field in self.inputs.fields:
            shape = columns[field.name].shape[1:]
            if not same_shape(field.shape, shape):
                other = f"the request's {field.name!r} has shape {list(shape)}, expected {field}"
                return Batch(ids=ids, rows=counts, columns={}, error=other)
        return Batch(ids=ids, rows=counts, columns=columns)

    def _column(self, field: Field, rows: slice) -> np.ndarray:
        """What was not there is the default."""
        found = self.values.get(field.name)
        count = rows.stop - rows.start
        if found is None or found.null[rows].all():
            return np.full((count, *np.shape(field.default)), field.default, field.dtype)
        part = found.part(rows)
        if not found.null[rows].any():
            return part
        blank = np.full(part.shape, field.default, field.dtype)
        return np.where(found.null[rows].reshape(count, *[1] * (part.ndim - 1)), blank, part)


# --- what fits ------------------------------------------------------------------------------


def _elsewhere(digests: Iterable[str | None], count: int) -> dict[str, np.ndarray]:
    """By input, the rows whose digests name it."""
    found: dict[str, np.ndarray] = {}
    for row, text in enumerate(digests):
        for name in json.loads(text) if text else ():
            found.setdefault(name, np.zeros(count, bool))[row] = True
    return found


def with_defaults(inputs: Schema, endpoint: Schema) -> Schema:
    """A model's inputs, those that the endpoint does not ask of clients with the endpoint's default."""
    return Schema(
        tuple(
            msgspec.structs.replace(field, optional=True, default=endpoint[field.name].default)
            if field.name in endpoint and endpoint[field.name].optional
            else field
            for field in inputs.fields
        )
    )


def fields_there(table: DeltaTable, inputs: Schema) -> list[Field]:
    """Those of a model's inputs that the archive has; it need not have the optional ones.

    Raises SchemaMismatch for another one that is not there, or is something else there.
    """
    schema = table.schema().to_arrow()
    there = {name: type_name(schema.field(name).type) for name in schema.names}
    known = [name.removeprefix(PREFIX) for name in there if name.startswith(PREFIX)]
    found = []
    for field in inputs.fields:
        kind = there.get(PREFIX + field.name)
        wanted = field.type.value + "[]" * len(field.shape)
        if kind is None and not field.optional:
            raise SchemaMismatch(
                f"the model needs the input {field.name!r}, which no archived request has; "
                f"they have {', '.join(known)}"
            )
        if kind not in (None, wanted) and (kind, field.type) != (wanted.replace("float", "int"), Kind.FLOAT):
            raise SchemaMismatch(
                f"the input {field.name!r} is {kind} in the archive, and the model takes {field}"
            )
        if kind is not None:
            found.append(field)
    return found


def extent(table: DeltaTable) -> str:
    """What there is at all, in words."""
    first, last, count = sql.row(
        "SELECT arrow_cast(min(received), 'Int64') AS a, arrow_cast(max(received), 'Int64') AS b, "
        "count(*) FILTER (WHERE row = 0) AS n FROM t",
        t=table,
    )
    if not count:
        return "the archive has none at all yet"
    began, ended = (shown(EPOCH + timedelta(microseconds=at)) for at in (first, last))
    return f"the archive has {count:,}, from {began} to {ended}"


def row_bytes(fields: list[Field]) -> int:
    """About how much memory a row takes."""
    return 100 + sum(_bytes(field) for field in fields)


def _bytes(field: Field) -> int:
    sizes = [UNKNOWN_SIZE if size < 0 else size for size in field.shape]
    each = 50 + UNKNOWN_SIZE if field.type is Kind.STRING else field.dtype.itemsize
    return each * int(np.prod(sizes, dtype=np.int64))


def windows(at: np.ndarray, requests: np.ndarray, rows: np.ndarray, *, most_rows: int) -> Iterator[Window]:
    """Windows over seconds with something in them (`at`, µs), with at most so many rows or one second."""
    total = np.cumsum(rows)
    first = 0
    while first < len(at):
        before = int(total[first - 1]) if first else 0
        end = max(first + 1, int(np.searchsorted(total, before + most_rows, side="right")))
        part = slice(first, end)
        yield Window(
            int(at[first]), int(at[end - 1]) + SECOND, int(requests[part].sum()), int(rows[part].sum())
        )
        first = end
