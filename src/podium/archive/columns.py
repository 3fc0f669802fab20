"""Columns of Arrow arrays, built for a whole batch of frames at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from typing import Any, cast

import numpy as np
from arro3.core import Array, ChunkedArray, DataType, list_array
from arro3.core import Field as ArrowField

from podium.errors import BadInput
from podium.protocol.frames import Tensor
from podium.schema import Field, Kind, same_shape

STRING = DataType.string()
INT = DataType.int64()
FLOAT = DataType.float64()
BOOL = DataType.bool()
DATE = DataType.date32()
TIME = DataType.timestamp("us", tz="UTC")

_SCALARS = {Kind.FLOAT: FLOAT, Kind.INT: INT, Kind.BOOL: BOOL, Kind.STRING: STRING}
_CODES = {Kind.FLOAT: "f8", Kind.INT: "i8", Kind.BOOL: "b1", Kind.STRING: "str"}
_DTYPES: dict[str, np.dtype[Any]] = {"f8": np.dtype("<f8"), "i8": np.dtype("<i8"), "b1": np.dtype("u1")}
_EPOCH = date(1970, 1, 1)


def arrow_type(field: Field) -> DataType:
    """The type of a field's column: a scalar, or lists in lists for a tensor."""
    found = _SCALARS[field.type]
    for _ in field.shape:
        found = DataType.list(ArrowField("element", found, nullable=True))
    return found


def type_name(kind: DataType) -> str:
    """A column's type in the words of a schema, as in `float` or `int[][]`."""
    if kind.value_type is not None:
        return f"{type_name(kind.value_type)}[]"
    return next((word.value for word, scalar in _SCALARS.items() if scalar == kind), str(kind).strip())


# --- simple columns -------------------------------------------------------------------------


def strings(values: Sequence[str | None]) -> Array:
    return Array(values, STRING)


def integers(values: Sequence[int] | np.ndarray) -> Array:
    return Array.from_numpy(np.asarray(values, np.int64))


def floats(values: Sequence[float]) -> Array:
    return Array.from_numpy(np.asarray(values, np.float64))


def times(values: Sequence[int]) -> Array:
    """Microseconds since the epoch as timestamps."""
    return integers(values).cast(TIME)


def days(day: date, count: int) -> Array:
    return Array.from_numpy(np.full(count, (day - _EPOCH).days, np.int32)).cast(DATE)


def same(value: bool, count: int) -> Array:
    return Array.from_numpy(np.full(count, value))


def nulls(kind: DataType, count: int) -> Array:
    return taken(empty(kind), np.zeros(count))


def empty(kind: DataType) -> Array:
    if kind.value_type is None:
        return Array([], kind)
    return list_array(Array.from_numpy(np.zeros(1, np.int32)), empty(kind.value_type), type=kind)


def repeated(values: Array, counts: np.ndarray) -> Array:
    """Each value as often as its count says."""
    return values.take(integers(np.repeat(np.arange(len(counts)), counts)))


def taken(values: Array, index: np.ndarray) -> Array:
    """The value at each index; null where it is `len(values)`."""
    places = ChunkedArray([integers(np.arange(len(values))), Array([None], INT)]).combine_chunks()
    return values.take(places.take(integers(index)))


# --- columns of tensors ---------------------------------------------------------------------


def check(field: Field, packed: Tensor, rows: int) -> None:
    """Raise BadInput unless this tensor holds so many rows of the field; an int may stand for a float."""
    check_shape(field, packed, rows)
    code, shape = packed.dtype, packed.shape
    size = math.prod(shape)
    if code == "str":
        whole = isinstance(packed.data, list) and len(packed.data) == size
    else:
        whole = isinstance(packed.data, bytes) and len(packed.data) == size * _DTYPES[code].itemsize
    if not whole:
        raise BadInput(f"{field.name!r}: {len(packed.data)} is not the length of {code}{list(shape)}")


def check_shape(field: Field, packed: Tensor, rows: int) -> None:
    """The same without a look at its data, which may be elsewhere."""
    code, shape = packed.dtype, packed.shape
    if code != _CODES[field.type] and (code, field.type) != ("i8", Kind.FLOAT):
        raise BadInput(f"{field.name!r} is {code}, expected {field}")
    if shape != (rows, *field.shape) and not _is_open_shape(field, shape, rows):
        raise BadInput(f"{field.name!r} has shape {list(shape)}, expected {rows} rows of {field}")


def _is_open_shape(field: Field, shape: tuple[int, ...], rows: int) -> bool:
    return shape[:1] == (rows,) and min(shape) >= 0 and same_shape(field.shape, shape[1:])


def joined(field: Field, tensors: Sequence[Tensor | None], rows: np.ndarray, failed: np.ndarray) -> Array:
    """One column from the tensors of a batch's frames, which have been checked.

    `rows` are each frame's rows. Null are the rows of a frame without a tensor, and those that
    `failed` marks.
    """
    present = [packed for packed in tensors if packed is not None]
    values = _nested(field, present) if present else empty(arrow_type(field))
    here = np.repeat(np.fromiter((packed is not None for packed in tensors), bool, len(tensors)), rows)
    if here.all() and not failed.any():
        return values
    return taken(values, np.where(here & ~failed, np.cumsum(here) - 1, len(values)))


def _nested(field: Field, tensors: Sequence[Tensor]) -> Array:
    """The flat values, wrapped in lists from the innermost axis outwards."""
    array = _flat(field, tensors)
    if not field.shape:
        return array
    shapes = np.array([packed.shape for packed in tensors], np.int64)
    for axis in range(len(field.shape), 0, -1):
        sizes = np.repeat(shapes[:, axis], shapes[:, :axis].prod(axis=1))
        offsets = np.concatenate(([0], np.cumsum(sizes))).astype(np.int32)
        kind = DataType.list(ArrowField("element", array.type, nullable=True))
        array = list_array(Array.from_numpy(offsets), array, type=kind)
    return array


def _flat(field: Field, tensors: Sequence[Tensor]) -> Array:
    if field.type is Kind.STRING:
        return strings(words(tensors))
    flat = numbers(field, tensors)
    return Array.from_numpy(flat != 0 if field.type is Kind.BOOL else flat)


def words(tensors: Sequence[Tensor]) -> list[str]:
    """All values of a field of strings."""
    return [value for packed in tensors for value in cast(list[str], packed.data)]


def numbers(field: Field, tensors: Sequence[Tensor]) -> np.ndarray:
    """All values of a field of numbers, or of booleans as 0 and 1."""
    code = _CODES[field.type]
    return np.frombuffer(b"".join(_as(code, packed) for packed in tensors), _DTYPES[code])


def _as(code: str, packed: Tensor) -> bytes:
    """The tensor's bytes, with ints made floats where the schema says float."""
    data = cast(bytes, packed.data)
    if packed.dtype == code:
        return data
    return np.frombuffer(data, _DTYPES[packed.dtype]).astype(_DTYPES[code]).tobytes()
