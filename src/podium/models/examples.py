"""Example inputs: the schema and the rows that come from what a model's owner gave."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from podium.errors import ProjectError
from podium.schema import Columns, Field, Kind, Schema, columns_of, did_you_mean, schema_of

MIXED_ROWS = 500
_TYPE = re.compile(r"(?P<type>\w+)(?P<shape>(?:\[(?:\d+|\?)\])*)")


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Rows of the declared types. `declared` says that they stand for types only: one row of zeros."""

    inputs: Schema
    columns: dict[str, np.ndarray]
    declared: bool = False


def examples_of(given: Any) -> Examples:
    """What `podium.Trained(inputs=…)` means. Raises ProjectError."""
    if isinstance(given, Schema):
        return _declared(given)
    if isinstance(given, Mapping) and given and all(isinstance(value, str) for value in given.values()):
        return _declared(Schema(tuple(_field(name, text) for name, text in given.items())))
    named = {str(given.name): np.asarray(given)} if _is_series(given) else columns_of(given)
    inputs = schema_of(named)
    columns = {field.name: named[field.name].astype(field.dtype) for field in inputs.fields}
    _check(inputs, columns)
    return Examples(inputs=inputs, columns=columns)


def _is_series(given: Any) -> bool:
    return hasattr(given, "to_frame") and getattr(given, "name", None) is not None


def _declared(inputs: Schema) -> Examples:
    columns = {field.name: _zeros(field) for field in inputs.fields}
    return Examples(inputs=inputs, columns=columns, declared=True)


def _zeros(field: Field) -> np.ndarray:
    shape = (1, *(max(size, 1) for size in field.shape))
    return np.full(shape, "" if field.type is Kind.STRING else 0, dtype=field.dtype)


def _field(name: str, text: str) -> Field:
    kinds = [kind.value for kind in Kind]
    match = _TYPE.fullmatch(text.replace(" ", ""))
    if match is None or match["type"] not in kinds:
        raise ProjectError(
            f"inputs: {name!r} is declared as {text!r}{did_you_mean(text, kinds)}; expected one of "
            f"{', '.join(kinds)}, with a shape as in 'float[28][28]' or 'float[?]'"
        )
    sizes = re.findall(r"\[(\d+|\?)\]", match["shape"])
    return Field(name=name, type=Kind(match["type"]), shape=tuple(-1 if n == "?" else int(n) for n in sizes))


def _check(inputs: Schema, columns: Columns) -> None:
    if not inputs.fields:
        raise ProjectError("examples: there are no columns in them")
    if len({len(values) for values in columns.values()}) > 1:
        raise ProjectError("examples: the columns have different numbers of rows")
    for name, values in columns.items():
        if values.dtype.kind == "f" and np.isinf(values).any():
            raise ProjectError(f"examples: {name!r} holds infinity, which no request can")


def mixed(columns: Columns) -> dict[str, np.ndarray]:
    """The examples, then rows in which every value is one that the examples have in that place.

    Always the same ones: what is packed may not depend on chance.
    """
    chance = np.random.default_rng(0)
    found = {}
    for name, values in columns.items():
        flat = values.reshape(len(values), -1)
        rows = chance.integers(0, len(values), (MIXED_ROWS, flat.shape[1]))
        anew = np.take_along_axis(flat, rows, axis=0).reshape(MIXED_ROWS, *values.shape[1:])
        found[name] = np.concatenate([values, anew])
    return found
