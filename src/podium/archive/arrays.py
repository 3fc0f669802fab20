"""Columns of the tables, back as a model takes them: the way of `podium.archive.columns` in reverse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from arro3.core import Array, RecordBatch, list_flatten, list_offsets

from podium.archive import sql
from podium.archive.columns import STRING
from podium.models.manifest import Tolerance
from podium.schema import Field, Kind

_BLANKS = {Kind.FLOAT: "0.0", Kind.INT: "0", Kind.BOOL: "false", Kind.STRING: "''"}
_NULL = "null "


@dataclass(frozen=True, kw_only=True)
class Values:
    """One field of many rows: all their values, flat and in order, and each row's shape (rows × axes).

    A row that is null is marked in `null`. It has a blank among the values if it is a scalar, else
    none and zeros for its shape.
    """

    flat: np.ndarray
    shapes: np.ndarray
    null: np.ndarray

    @cached_property
    def sizes(self) -> np.ndarray:
        found: np.ndarray = self.shapes.prod(axis=1)
        return found

    @cached_property
    def starts(self) -> np.ndarray:
        """Where each row begins among the values."""
        found: np.ndarray = np.cumsum(self.sizes) - self.sizes
        return found

    def part(self, rows: slice) -> np.ndarray:
        """These rows, at least one, as one array; they must have the same shape."""
        count, shape = rows.stop - rows.start, self.shapes[rows.start]
        start = self.starts[rows.start]
        return self.flat[start : start + count * int(self.sizes[rows.start])].reshape(count, *shape)


def selected(prefix: str, field: Field) -> str:
    """The SQL that reads a field's column, so that `values` can take it from the result."""
    column = sql.name(prefix + field.name)
    shown = column if field.shape else f"coalesce({column}, {_BLANKS[field.type]})"
    return f"{shown} AS {sql.name(field.name)}, {column} IS NULL AS {sql.name(_NULL + field.name)}"


def values(batch: RecordBatch, field: Field) -> Values:
    """A field's column in the result of a query with `selected`."""
    array = batch.column(field.name)
    null = batch.column(_NULL + field.name).to_numpy()
    shapes = np.zeros((len(null), len(field.shape)), np.int64)
    first = np.arange(len(null))  # of each row its first list on the axis; its others are as long
    for axis, size in enumerate(field.shape):
        offsets = list_offsets(array).to_numpy()
        filled = ~null & (shapes[:, :axis].prod(axis=1) > 0)
        shapes[~null, axis] = max(size, 0)  # where an axis before is empty, nothing tells
        shapes[filled, axis] = np.diff(offsets)[first[filled]]
        first = np.where(filled, offsets[np.where(filled, first, 0)] - offsets[0], 0)
        array = list_flatten(array)
    return Values(flat=_numpy(array, field), shapes=shapes, null=null)


def stacked(field: Field, arrays: Sequence[np.ndarray]) -> Values:
    """Several arrays of rows, or none, as one column."""
    arrays = arrays or [np.empty((0, *(0 for _ in field.shape)), field.dtype)]
    shapes = [np.broadcast_to(a.shape[1:], (len(a), len(field.shape))) for a in arrays]
    return Values(
        flat=np.concatenate([array.ravel() for array in arrays]),
        shapes=np.concatenate(shapes).astype(np.int64),
        null=np.zeros(sum(map(len, arrays)), bool),
    )


def equal(a: Values, b: Values, within: Tolerance) -> np.ndarray:
    """Of each row whether it is the same in both; floats may be `within` a tolerance of b's."""
    same: np.ndarray = (a.shapes == b.shapes).all(axis=1) & (a.null == b.null)
    sizes = np.where(same, a.sizes, 0)
    left, right = (each.flat[_places(each.starts, sizes)] for each in (a, b))
    if left.dtype.kind == "f":
        fits = np.isclose(left, right, rtol=within.relative, atol=within.absolute, equal_nan=True)
    else:
        fits = np.asarray(left == right, bool)
    same[np.repeat(np.arange(len(sizes)), sizes)[~fits]] = False
    return same


def taken(values: Values, rows: np.ndarray) -> Values:
    """The rows with these numbers, in this order."""
    return Values(
        flat=values.flat[_places(values.starts[rows], values.sizes[rows])],
        shapes=values.shapes[rows],
        null=values.null[rows],
    )


def _places(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Where rows with these starts and sizes have their values, one row after the other."""
    steps = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    found: np.ndarray = np.repeat(starts, sizes) + steps
    return found


def _numpy(array: Array, field: Field) -> np.ndarray:
    if field.type is Kind.STRING:
        return np.array(array.cast(STRING).to_pylist(), dtype=object)
    found: np.ndarray = array.to_numpy()
    return found.astype(field.dtype, copy=False)
