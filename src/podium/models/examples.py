"""Example inputs: the schema and the rows that come from what a model's owner gave."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec.structs import replace

from podium.errors import ProjectError
from podium.schema import Columns, Field, Kind, Schema, columns_of, did_you_mean, same_shape, schema_of

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
    named = _columns(given)
    inputs = schema_of(named)
    columns = {field.name: named[field.name].astype(field.dtype) for field in inputs.fields}
    _check(columns, "examples")
    return Examples(inputs=inputs, columns=columns)


def training_of(given: Any, examples: Examples) -> Examples | None:
    """What `podium.Trained(training=…)` means: the inputs' columns, and the schema with their ranges.

    Without `training` it is the examples; None where they stand for types only. Raises ProjectError
    for columns that are not those of the examples.
    """
    if given is None:
        return None if examples.declared else examples
    named = _columns(given)
    found = schema_of({name: named[name] for name in examples.inputs.names if name in named}, what="training")
    fields = tuple(_ranged(field, found) for field in examples.inputs.fields)
    columns = {field.name: named[field.name].astype(field.dtype) for field in fields}
    _check(columns, "training")
    return Examples(inputs=Schema(fields), columns=columns)


def _ranged(field: Field, training: Schema) -> Field:
    """The field with the range that training saw."""
    if field.name not in training:
        raise ProjectError(f"training: it has no column {field.name!r}, which is one of the model's inputs")
    there = training[field.name]
    alike = there.type is field.type or (there.type, field.type) == (Kind.INT, Kind.FLOAT)
    if not alike or not same_shape(field.shape, there.shape):
        raise ProjectError(f"training: it has {there}, and the examples have {field}")
    return replace(field, minimum=there.minimum, maximum=there.maximum)


def _columns(given: Any) -> dict[str, np.ndarray]:
    return {str(given.name): np.asarray(given)} if _is_series(given) else columns_of(given)


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


def _check(columns: Columns, what: str) -> None:
    if not columns:
        raise ProjectError(f"{what}: there are no columns in them")
    if len({len(values) for values in columns.values()}) > 1:
        raise ProjectError(f"{what}: the columns have different numbers of rows")
    for name, values in columns.items():
        if values.dtype.kind == "f" and np.isinf(values).any():
            raise ProjectError(f"{what}: {name!r} holds infinity, which no request can")


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
