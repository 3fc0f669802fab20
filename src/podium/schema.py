"""Named, typed inputs and outputs: what a schema is, where it comes from, which ones fit.

How a request is checked against one is `podium.validation`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from enum import StrEnum
from typing import Any

import msgspec
import numpy as np

from podium.errors import ProjectError, SchemaMismatch

Columns = Mapping[str, np.ndarray]
"""Column-wise rows: name → array whose first axis is the row."""

TENSOR_NAME = "x"
"""The field that an unnamed array of examples becomes."""


class Kind(StrEnum):
    """The type of one value."""

    FLOAT = "float"
    INT = "int"
    BOOL = "bool"
    STRING = "string"


DTYPES: dict[Kind, np.dtype[Any]] = {
    Kind.FLOAT: np.dtype("<f8"),
    Kind.INT: np.dtype("<i8"),
    Kind.BOOL: np.dtype("bool"),
    Kind.STRING: np.dtype(object),
}
_KINDS = {"f": Kind.FLOAT, "i": Kind.INT, "u": Kind.INT, "b": Kind.BOOL}


class Field(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One named input or output.

    `shape` is that of one row: `()` for a scalar; an entry of -1 is open. `missing` allows NaN
    (JSON `null`) in a float. An optional field has a default, which models get when a client
    does not send it. `minimum` and `maximum` are what training saw; they describe, they do not
    refuse. `classes` are the names behind a tensor of class probabilities.
    """

    name: str
    type: Kind
    shape: tuple[int, ...] = ()
    optional: bool = False
    default: Any = None
    missing: bool = False
    minimum: float | None = None
    maximum: float | None = None
    classes: tuple[str, ...] = ()

    @property
    def dtype(self) -> np.dtype[Any]:
        return DTYPES[self.type]

    def __str__(self) -> str:
        shape = "".join(f"[{'?' if n < 0 else n}]" for n in self.shape)
        return f"{self.name}: {self.type.value}{shape}{' (optional)' if self.optional else ''}"


class Schema(msgspec.Struct, frozen=True):
    """The fields of a row, in order."""

    fields: tuple[Field, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields)

    def __getitem__(self, name: str) -> Field:
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return any(field.name == name for field in self.fields)

    def __str__(self) -> str:
        return "{" + ", ".join(str(field) for field in self.fields) + "}"

    def nearest(self, name: str) -> str:
        """` (did you mean X?)` for a name that is almost one of ours, else nothing."""
        return did_you_mean(name, self.names)


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """` (did you mean X?)`, or nothing where no known word is near."""
    near = get_close_matches(word, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


# --- a schema read from examples ------------------------------------------------------------


def columns_of(examples: Any) -> dict[str, np.ndarray]:
    """Examples as columns: a data frame, a mapping of arrays, a list of dicts, or one array.

    A one- or two-dimensional array without names becomes the single field `x`.
    """
    if hasattr(examples, "columns") and hasattr(examples, "to_dict"):  # a pandas or polars frame
        return {str(name): np.asarray(examples[name]) for name in examples.columns}
    if isinstance(examples, Mapping):
        return {str(name): np.asarray(values) for name, values in examples.items()}
    if isinstance(examples, Sequence) and examples and isinstance(examples[0], Mapping):
        return {str(name): np.asarray([row[name] for row in examples]) for name in examples[0]}
    return {TENSOR_NAME: np.asarray(examples)}


def schema_of(columns: Columns, *, what: str = "examples") -> Schema:
    """The schema that these columns follow, with the ranges seen in them.

    Raises ProjectError, which says `what` they are, for a column without rows or of a type that Podium
    does not serve.
    """
    return Schema(tuple(_field_of(name, np.asarray(values), what) for name, values in columns.items()))


def _field_of(name: str, values: np.ndarray, what: str) -> Field:
    if values.ndim == 0 or not len(values):
        raise ProjectError(f"{what}: {name!r} has no rows, a schema needs at least one")
    kind = _kind_of(name, values, what)
    shape = tuple(int(n) for n in values.shape[1:])
    if kind is Kind.STRING or not values.size:
        return Field(name=name, type=kind, shape=shape)
    numbers = values.astype("f8")
    known = numbers[~np.isnan(numbers)]
    low, high = (float(known.min()), float(known.max())) if known.size else (None, None)
    missing = kind is Kind.FLOAT and known.size < numbers.size
    return Field(name=name, type=kind, shape=shape, missing=missing, minimum=low, maximum=high)


def _kind_of(name: str, values: np.ndarray, what: str) -> Kind:
    if values.dtype.kind in _KINDS:
        return _KINDS[values.dtype.kind]
    if values.dtype.kind in "OUT" and all(isinstance(value, str) for value in values.flat):
        return Kind.STRING
    raise ProjectError(
        f"{what}: {name!r} is {values.dtype}; a column is float, int, bool or string, with no missing strings"
    )


# --- which schemas fit ----------------------------------------------------------------------


def check_contender(endpoint: Schema, contender: Schema, *, what: str) -> None:
    """Raise SchemaMismatch unless a model with these inputs can answer this endpoint.

    A contender may use fewer inputs than the endpoint has, never need more: a field that the
    endpoint does not have, or has with another type or shape, is refused with both shown.
    """
    problems = [problem for field in contender.fields if (problem := _misfit(endpoint, field))]
    if problems:
        raise SchemaMismatch(
            f"{what} does not fit the endpoint: {'; '.join(problems)}. "
            f"The endpoint has {endpoint}; the model needs {contender}"
        )


def check_outputs(endpoint: Schema, contender: Schema, *, what: str) -> None:
    """Raise SchemaMismatch unless the contender gives every output that the endpoint promises."""
    check_contender(contender, endpoint, what=f"{what}: its outputs")


def _misfit(endpoint: Schema, field: Field) -> str | None:
    if field.name not in endpoint:
        if field.optional:
            return None
        return f"{field.name!r} is not one of its fields{endpoint.nearest(field.name)}"
    other = endpoint[field.name]
    if other.type is not field.type and (other.type, field.type) != (Kind.INT, Kind.FLOAT):
        return f"{field.name!r} is {other.type.value} there and {field.type.value} here"
    if not same_shape(other.shape, field.shape):
        return f"{field.name!r} has shape {list(other.shape)} there and {list(field.shape)} here"
    return None


def same_shape(wanted: Sequence[int], found: Sequence[int]) -> bool:
    """Whether a shape fits another; -1 on either side is open."""
    return len(wanted) == len(found) and all(
        a == b or a < 0 or b < 0 for a, b in zip(wanted, found, strict=True)
    )


def check_default(outputs: Schema, default: Mapping[str, Any]) -> None:
    """Raise ProjectError unless a default answer gives exactly the endpoint's outputs."""
    for name in default:
        if name not in outputs:
            raise ProjectError(
                f"endpoint.default: {name!r} is not an output{outputs.nearest(name)}; "
                f"the outputs are {outputs}"
            )
    for field in outputs.fields:
        if field.name not in default:
            raise ProjectError(f"endpoint.default: the output {field} has no default value")
        if not is_value(field, default[field.name]):
            raise ProjectError(
                f"endpoint.default: {field.name!r} is {default[field.name]!r}, expected {field}"
            )


def is_value(field: Field, value: Any) -> bool:
    """Whether this is one row's value of the field, as a number, text or lists of them."""
    try:
        array = np.asarray(value)
    except ValueError:  # lists of unequal length
        return False
    if not same_shape(field.shape, array.shape):
        return False
    if field.type is Kind.STRING:
        return array.dtype.kind in "UO" and all(isinstance(one, str) for one in array.flat)
    if field.type is Kind.FLOAT:
        return array.dtype.kind in "fiu" and (field.missing or not _has_nan(array))
    return array.dtype != np.uint64 and _KINDS.get(array.dtype.kind) is field.type  # which 2**63 would be


def _has_nan(array: np.ndarray) -> bool:
    return not math.isfinite(float(np.sum(array)))
