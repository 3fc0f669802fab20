"""How a request's columns are put together for a model that takes one thing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import numpy as np

from podium.schema import Columns, Kind, Schema

_DOUBLE = np.dtype("<f8")
SINGLE = np.dtype("<f4")
Feed = Callable[[Columns], Any]


class Layout(StrEnum):
    """`frame`: a pandas frame; `matrix`: scalars side by side, [rows, fields]; `array`: the only field
    as it is; `separate`: each field as [rows, 1] under its own name (ONNX).
    """

    FRAME = "frame"
    MATRIX = "matrix"
    ARRAY = "array"
    SEPARATE = "separate"


def feed(layout: Layout, inputs: Schema, *, number: np.dtype[Any] = _DOUBLE) -> Feed:
    """The function from columns to what the model takes; all that can be is decided here, once.

    `number` is the precision of a matrix of numbers.
    """
    match layout:
        case Layout.FRAME:
            return _frame(inputs.names)
        case Layout.MATRIX:
            return _matrix(inputs, number)
        case Layout.ARRAY:
            (name,) = inputs.names
            return lambda columns: columns[name]
        case Layout.SEPARATE:
            return lambda columns: {name: values.reshape(-1, 1) for name, values in columns.items()}


def _frame(names: tuple[str, ...]) -> Feed:
    from pandas import DataFrame  # slow, and only for models that were fitted with column names

    return lambda columns: DataFrame({name: columns[name] for name in names}, copy=False)


def _matrix(inputs: Schema, number: np.dtype[Any]) -> Feed:
    names = inputs.names
    kinds = {field.type for field in inputs.fields}
    if len(names) == 1 and (number is _DOUBLE or kinds != {Kind.FLOAT}):
        (only,) = names
        return lambda columns: columns[only].reshape(-1, 1)
    dtype = np.dtype(object) if Kind.STRING in kinds else number

    def side_by_side(columns: Columns) -> np.ndarray:
        matrix = np.empty((len(columns[names[0]]), len(names)), dtype)
        for index, name in enumerate(names):
            matrix[:, index] = columns[name]
        return matrix

    return side_by_side


def candidates(model: Any, examples: Any, inputs: Schema) -> list[Layout]:
    """The layouts that a fitted scikit-learn model may take these inputs in, the likeliest first."""
    named = hasattr(examples, "columns") or isinstance(examples, Mapping | list)
    scalars = all(not field.shape for field in inputs.fields)
    if len(inputs.fields) == 1 and not (named and scalars):
        return [Layout.ARRAY]
    if not scalars:
        return []
    if hasattr(model, "feature_names_in_"):
        return [Layout.FRAME]
    return [Layout.MATRIX, Layout.FRAME, *([Layout.ARRAY] if len(inputs.fields) == 1 else [])]
