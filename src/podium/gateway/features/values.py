"""What was found, as columns that models can be given: whatever is not there, or no such value, is a default.

Pure: sources bring the values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from podium.errors import FeaturesFailed, ModelFailed
from podium.models.values import conform
from podium.schema import Field, Schema, is_value
from podium.validation import Rows


class Why(IntEnum):
    """Why a row has a default among its features; of several reasons the highest."""

    NOTHING = 0
    MISSING = 1
    WRONG = 2
    LATE = 3
    FAILED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The features of some rows: a column for each field, in the schema's order, and a `Why` for each row."""

    columns: Sequence[np.ndarray]
    why: np.ndarray

    def taken(self, rows: np.ndarray) -> Found:
        """These rows, in this order; each may be there several times."""
        return Found(columns=[column[rows] for column in self.columns], why=self.why[rows])


def defaults(schema: Schema, count: int, why: Why) -> Found:
    """Rows about which nothing is known."""
    return Found(columns=[_defaults(field, count) for field in schema.fields], why=_same(count, why))


def joined(parts: Sequence[Found]) -> Found:
    """The rows of all, in order."""
    columns = zip(*(part.columns for part in parts), strict=True)
    return Found(
        columns=[np.concatenate(column) for column in columns],
        why=np.concatenate([part.why for part in parts]),
    )


def of_rows(schema: Schema, rows: Sequence[Mapping[str, Any] | None]) -> Found:
    """From plain values by name, as JSON has them; None is a row that is not there."""
    found = defaults(schema, len(rows), Why.NOTHING)
    for place, row in enumerate(rows):
        for field, column in zip(schema.fields, found.columns, strict=True):
            why = _put(field, column, place, None if row is None else row.get(field.name))
            found.why[place] = max(found.why[place], why)
    return found


def _put(field: Field, column: np.ndarray, place: int, value: Any) -> Why:
    if value is None or (isinstance(value, float) and math.isnan(value) and not field.missing):
        return Why.MISSING
    if not is_value(field, value):
        return Why.WRONG
    column[place] = value
    return Why.NOTHING


def of_arrays(schema: Schema, columns: Mapping[str, Any], count: int) -> Found:
    """From a column for each field, NaN where nothing is known.

    Raises FeaturesFailed for other names, another number of rows, another type or shape.
    """
    if set(columns) != set(schema.names):
        names = ", ".join(sorted(map(str, columns))) or "none"
        raise FeaturesFailed(f"the features that came are {names}; expected {schema}")
    try:
        arrays = [conform(field, columns[field.name], count) for field in schema.fields]
    except (ModelFailed, ValueError) as error:  # of lists that differ in length
        raise FeaturesFailed(str(error)) from None
    filled = [filled_column(field, array) for field, array in zip(schema.fields, arrays, strict=True)]
    why = np.maximum.reduce([why for _, why in filled])
    return Found(columns=[column for column, _ in filled], why=why)


def filled_column(
    field: Field, array: np.ndarray, null: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """A column of the right type, and each row's `Why`: defaults where rows are `null`, or no number."""
    why = _same(len(array), Why.NOTHING)
    if null is not None:
        why[null] = Why.MISSING
    if array.dtype.kind == "f":
        rows = array.reshape(len(array), -1)
        if not field.missing:
            why[np.isnan(rows).any(axis=1)] = Why.MISSING
            why[np.isinf(rows).any(axis=1)] = Why.WRONG
    if why.any():
        bad = why > 0
        array = array.copy()
        array[bad] = _defaults(field, int(bad.sum()))
    return array, why


def _defaults(field: Field, count: int) -> np.ndarray:
    found = np.empty((count, *field.shape), field.dtype)
    found[...] = field.default  # None is NaN
    return found


def _same(count: int, why: Why) -> np.ndarray:
    return np.full(count, why, np.uint8)


# --- rows of requests -----------------------------------------------------------------------


def column_of(parts: Iterable[Rows], place: int) -> list[Any]:
    """The values of one scalar input of all requests."""
    values: list[Any] = []
    for part in parts:
        column = part.columns[place]
        values.extend(column.tolist() if isinstance(column, np.ndarray) else column)
    return values


def keys_of(parts: Iterable[Rows], place: int) -> tuple[list[Any], np.ndarray]:
    """Each key once, and of each row the place of its key among them."""
    keys = column_of(parts, place)
    places = {key: n for n, key in enumerate(dict.fromkeys(keys))}
    return list(places), np.array([places[key] for key in keys], np.int64)


def completed(parts: Sequence[Rows], found: Found) -> list[Rows]:
    """The requests with what was found of their rows behind their own columns."""
    whole, start = [], 0
    for part in parts:
        rows = slice(start, start + part.count)
        start = rows.stop
        features = [column[rows] for column in found.columns]
        whole.append(Rows([*part.columns, *features], part.count, part.single))
    return whole
