"""Columns exactly as a schema declares them: checked, written as JSON, fingerprinted."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np

from podium.errors import ModelFailed
from podium.schema import DTYPES, Columns, Field, Kind, Schema, same_shape

_FROM = {Kind.FLOAT: "fiu", Kind.INT: "iu", Kind.BOOL: "b", Kind.STRING: "OUT"}
_FLOAT = DTYPES[Kind.FLOAT]


def conform(field: Field, values: Any, rows: int) -> np.ndarray:
    """One output with exactly the declared type and shape. Raises ModelFailed where it has another.

    A column of shape [rows, 1] is taken for a scalar's.
    """
    array = np.asarray(values)
    if array.shape != (rows, *field.shape):
        array = _shaped(field, array, rows)
    if array.dtype == _FLOAT and field.type is Kind.FLOAT:
        return array
    if array.dtype.kind not in _FROM[field.type]:
        raise ModelFailed(f"output {field.name!r} is {array.dtype}, expected {field}")
    if array.dtype.kind == "O" and not all(type(value) is str for value in array.flat):
        raise ModelFailed(f"output {field.name!r} holds values that are no strings, expected {field}")
    return array.astype(field.dtype, copy=False)


def _shaped(field: Field, array: np.ndarray, rows: int) -> np.ndarray:
    if not field.shape and array.shape == (rows, 1):
        return array[:, 0]
    if array.ndim == 0 or len(array) != rows or not same_shape(field.shape, array.shape[1:]):
        raise ModelFailed(
            f"output {field.name!r} has the shape {list(array.shape)} for {rows} rows, expected {field}"
        )
    return array


def conform_all(schema: Schema, columns: Columns, rows: int) -> dict[str, np.ndarray]:
    """All outputs and no other. Raises ModelFailed."""
    if set(columns) != set(schema.names):
        raise ModelFailed(f"the model gave the outputs {sorted(columns)}, expected {schema}")
    return {field.name: conform(field, columns[field.name], rows) for field in schema.fields}


def rows_of(columns: Columns) -> int:
    return len(next(iter(columns.values())))


def take(columns: Columns, rows: slice | np.ndarray) -> dict[str, np.ndarray]:
    return {name: values[rows] for name, values in columns.items()}


def to_json(columns: Columns) -> dict[str, list[Any]]:
    """Columns as lists, with null for NaN."""
    return {name: _plain(values.tolist()) for name, values in columns.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def from_json(schema: Schema, lists: dict[str, list[Any]]) -> dict[str, np.ndarray]:
    """What `to_json` wrote. Raises KeyError or ValueError for anything else."""
    return {field.name: np.array(lists[field.name], dtype=field.dtype) for field in schema.fields}


# --- what another program answered ----------------------------------------------------------

ITEMS: dict[Kind, Any] = {
    Kind.FLOAT: float | None,
    Kind.INT: int | float,
    Kind.BOOL: bool,
    Kind.STRING: str,
}
"""The types of one value in JSON: null is a missing number, and a whole number may be written as 3.0."""


def lists_of(field: Field) -> Any:
    """The type of a column in JSON: a list of rows, each of them a list for each axis."""
    found = ITEMS[field.type]
    for _ in range(len(field.shape) + 1):
        found = list[found]  # type: ignore[valid-type]  # the depth is known only here
    return found


def of_lists(field: Field, values: list[Any], rows: int) -> np.ndarray:
    """An output of lists of that type. Raises ModelFailed unless it is what was declared."""
    if len(values) != rows:
        raise ModelFailed(f"output {field.name!r} has {len(values)} rows, expected {rows}")
    try:
        return conform(field, array_of(field, values), rows)
    except ValueError:  # rows of different lengths, or an integer beyond 64 bits
        raise ModelFailed(f"output {field.name!r} does not fit {field}") from None


def array_of(field: Field, values: list[Any]) -> np.ndarray:
    """Raises ValueError for lists of different lengths."""
    if field.type is not Kind.INT:
        return np.array(values, dtype=field.dtype)
    numbers = np.array(values)
    if numbers.dtype.kind == "f" and (numbers == np.floor(numbers)).all():
        return numbers.astype(np.int64)
    return numbers


# --- a fingerprint --------------------------------------------------------------------------


def _one_nan(values: np.ndarray) -> np.ndarray:
    """A missing value is a missing value, whatever bits its NaN carries."""
    return np.where(np.isnan(values), np.nan, values) if values.dtype.kind == "f" else values


def fingerprint(schema: Schema, columns: Columns) -> str:
    """SHA-256 over each column's declaration and values, in the schema's order."""
    total = hashlib.sha256()
    for field in schema.fields:
        values = columns[field.name]
        total.update(f"{field.name}\0{field.type}\0{values.shape}\0".encode())
        if field.type is Kind.STRING:
            for value in values.flat:
                encoded = value.encode()
                total.update(f"{len(encoded)}\0".encode() + encoded)
        else:
            total.update(np.ascontiguousarray(_one_nan(values)).tobytes())
    return total.hexdigest()
