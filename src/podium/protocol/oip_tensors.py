"""Tensors of the Open Inference Protocol: its datatypes, as JSON and as bytes.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md and
Triton's binary tensor data extension to it. Data is row-major, binary data little-endian.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any

import msgspec
import numpy as np

from podium.errors import InvalidInput
from podium.schema import Field, Kind

Values = Sequence[Any] | np.ndarray


@dataclass(frozen=True, slots=True)
class Datatype:
    """One of the protocol's datatypes.

    `dtype` is that of its binary data, `read_as` that of the array its JSON becomes: one that the
    schema's types take without another conversion. `element` is msgspec's type of one JSON value.
    """

    name: str
    dtype: np.dtype[Any]
    read_as: np.dtype[Any]
    element: Any
    fits: frozenset[Kind]


def _number(name: str, dtype: str, read_as: str, element: Any, *fits: Kind) -> Datatype:
    return Datatype(name, np.dtype(dtype), np.dtype(read_as), element, frozenset(fits))


def _integer(name: str, dtype: str) -> Datatype:
    info = np.iinfo(dtype)
    # msgspec's limits are int64; numpy refuses what is over the others.
    high = None if info.max > 2**63 - 1 else int(info.max)
    element = Annotated[int, msgspec.Meta(ge=int(info.min), le=high)]
    return _number(name, dtype, "<u8" if high is None else "<i8", element, Kind.INT, Kind.FLOAT)


DATATYPES: dict[str, Datatype] = {
    datatype.name: datatype
    for datatype in (
        _number("BOOL", "bool", "bool", bool, Kind.BOOL),
        _integer("UINT8", "u1"),
        _integer("UINT16", "<u2"),
        _integer("UINT32", "<u4"),
        _integer("UINT64", "<u8"),
        _integer("INT8", "i1"),
        _integer("INT16", "<i2"),
        _integer("INT32", "<i4"),
        _integer("INT64", "<i8"),
        _number("FP16", "<f2", "<f8", float | None, Kind.FLOAT),
        _number("FP32", "<f4", "<f8", float | None, Kind.FLOAT),
        _number("FP64", "<f8", "<f8", float | None, Kind.FLOAT),
        _number("BYTES", "O", "O", str, Kind.STRING),
    )
}

OF_KIND: dict[Kind, str] = {
    Kind.FLOAT: "FP64",
    Kind.INT: "INT64",
    Kind.BOOL: "BOOL",
    Kind.STRING: "BYTES",
}
"""The datatype that metadata and answers give to a field."""

_LENGTH = struct.Struct("<I")


def fitting(field: Field) -> str:
    """The names of the datatypes that a field takes."""
    names = [name for name, datatype in DATATYPES.items() if field.type in datatype.fits]
    return " or ".join(sorted(names, key=lambda name: name != OF_KIND[field.type]))


def element_count(shape: Sequence[int], path: str) -> int:
    """The number of values in a tensor. Raises InvalidInput for a shape without rows or values."""
    count = math.prod(shape)
    if not shape or not count:
        raise InvalidInput(
            f"shape {list(shape)} holds no values",
            path=f"{path}.shape",
            expected="the number of rows, then the shape of one row",
        )
    return count


# --- in: JSON -------------------------------------------------------------------------------


def from_json(datatype: Datatype, data: list[Any], shape: Sequence[int], path: str) -> np.ndarray:
    """An array of decoded JSON, flat or nested. Raises InvalidInput unless it fills the shape."""
    count = element_count(shape, path)
    flat = _flattened(data, shape, path) if data and isinstance(data[0], list) else data
    if len(flat) != count:
        raise misshapen(f"{len(flat)} values", shape, path)
    try:
        return _packed(datatype, flat).reshape(shape)
    except (ValueError, TypeError, OverflowError, struct.error):
        raise InvalidInput(
            f"the data is not {datatype.name} throughout",
            path=f"{path}.data",
            expected=f"{count} {datatype.name} values, in one flat list or nested like the shape",
        ) from None


def _flattened(data: list[Any], shape: Sequence[int], path: str) -> list[Any]:
    for size in shape[1:]:
        if not all(isinstance(part, list) and len(part) == size for part in data):
            raise misshapen("lists of other lengths", shape, path)
        data = list(chain.from_iterable(data))
    return data


def _packed(datatype: Datatype, flat: list[Any]) -> np.ndarray:
    """One pass over the values; packing is three times as fast as numpy's own conversion of a list."""
    match datatype.read_as.kind:
        case "f":
            return _floats(flat)
        case "i":
            return np.frombuffer(struct.pack(f"<{len(flat)}q", *flat), "<i8")
        case "O" if any(isinstance(value, list) for value in flat):
            raise TypeError("lists among strings")
        case _:
            return np.array(flat, datatype.read_as)


def _floats(flat: list[Any]) -> np.ndarray:
    try:
        return np.frombuffer(struct.pack(f"<{len(flat)}d", *flat), "<f8")
    except struct.error:  # nulls, which are NaN; or lists, which numpy refuses
        return np.array([math.nan if value is None else value for value in flat], "<f8")


# --- in: bytes ------------------------------------------------------------------------------


def from_binary(datatype: Datatype, data: memoryview, shape: Sequence[int], path: str) -> np.ndarray:
    """An array over these bytes: a view of numbers, without a copy. Raises InvalidInput."""
    count = element_count(shape, path)
    if datatype.name == "BYTES":
        strings = _strings(data, path)
        if len(strings) != count:
            raise misshapen(f"{len(strings)} strings", shape, path)
        return np.array(strings, object).reshape(shape)
    if len(data) != count * datatype.dtype.itemsize:
        raise misshapen(f"{len(data)} bytes of {datatype.name}", shape, path)
    if datatype.name == "BOOL":  # any other byte than 0 and 1 would be a strange bool indeed
        return np.frombuffer(data, "u1").astype(bool).reshape(shape)
    return np.frombuffer(data, datatype.dtype).reshape(shape)


def _strings(data: memoryview, path: str) -> list[str]:
    """BYTES: before each string its length in four bytes."""
    strings = []
    start, end = 0, len(data)
    try:
        while start < end:
            first = start + _LENGTH.size
            start = first + _LENGTH.unpack_from(data, start)[0]
            if start > end:
                raise _cut_off(path)
            strings.append(str(data[first:start], "utf-8"))
    except struct.error:
        raise _cut_off(path) from None
    except UnicodeDecodeError:
        raise not_utf8(path) from None
    return strings


def _cut_off(path: str) -> InvalidInput:
    return InvalidInput(
        "the BYTES data is cut off",
        path=f"{path}.data",
        expected="strings, each after its length as a little-endian uint32",
    )


def not_utf8(path: str) -> InvalidInput:
    """The error where an input's string is no text."""
    return InvalidInput("a string is not UTF-8", path=f"{path}.data", expected="strings of UTF-8")


def misshapen(found: str, shape: Sequence[int], path: str) -> InvalidInput:
    """The error where an input's data are too few or too many for its shape."""
    return InvalidInput(
        f"{found} do not fill the shape {list(shape)}",
        path=f"{path}.data",
        expected=f"{math.prod(shape)} values",
    )


# --- out ------------------------------------------------------------------------------------


def to_json(values: Values) -> list[Any]:
    """An output's values as one flat list."""
    if isinstance(values, np.ndarray):
        flat: list[Any] = values.ravel().tolist()
        return flat
    while values and isinstance(values[0], list):
        values = list(chain.from_iterable(values))
    return list(values)


def to_binary(field: Field, values: Values) -> bytes:
    """An output's values as bytes of its datatype."""
    if field.type is not Kind.STRING:
        return np.asarray(values, field.dtype).tobytes()
    encoded = [text.encode() for text in to_json(values)]
    return b"".join(_LENGTH.pack(len(text)) + text for text in encoded)


def shape_of(values: Values) -> list[int]:
    """The shape of an output's values, rows first."""
    if isinstance(values, np.ndarray):
        return list(values.shape)
    shape = [len(values)]
    while values and isinstance(values[0], list):
        values = values[0]
        shape.append(len(values))
    return shape
