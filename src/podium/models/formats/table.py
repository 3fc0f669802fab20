"""Models that take rows of numbers and give one array: XGBoost's, LightGBM's and treelite's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from podium.errors import PackageError, ProjectError
from podium.models.estimator import PROBABILITY, answers, layout_of, named
from podium.models.formats.base import EXACT, Given
from podium.models.layout import Layout, feed
from podium.models.samples import first_difference
from podium.models.values import conform_all, rows_of
from podium.schema import Columns, Field, Kind, Schema, schema_of

Score = Callable[[np.ndarray], np.ndarray]
"""From [rows, features] to [rows] or [rows, values]; two classes give the probability of the second."""

_LABELS: dict[Kind, Callable[[str], Any]] = {
    Kind.INT: int,
    Kind.FLOAT: float,
    Kind.BOOL: lambda text: text == "True",
    Kind.STRING: str,
}


class TablePredictor:
    """A model behind columns. Where it is a classifier, labels come from its probabilities."""

    def __init__(self, score: Score, layout: Layout, inputs: Schema, outputs: Schema) -> None:
        self._score = score
        self._feed = feed(layout, inputs)
        self._outputs = outputs
        self._names = [field.name for field in outputs.fields if not field.classes]
        self._labels = _labels(outputs)

    def predict(self, columns: Columns) -> dict[str, np.ndarray]:
        found = shown(self._score(self._feed(columns)), self._names, self._labels)
        return conform_all(self._outputs, found, rows_of(columns))


def shown(scored: np.ndarray, names: list[str], labels: np.ndarray | None) -> dict[str, np.ndarray]:
    """What was scored, under the outputs' names."""
    if labels is None:
        return named(scored, names)
    each = scored if scored.ndim == 2 else np.stack([1 - scored, scored], axis=1)
    return {names[0]: labels[each.argmax(axis=1)], f"{names[0]}{PROBABILITY}": each}


def outputs_of(found: Columns, labels: np.ndarray | None) -> Schema:
    """The schema of these answers: no ranges, and the classes' names behind probabilities."""
    seen = schema_of({name: v[:, 0] if v.shape[1:] == (1,) else v for name, v in found.items()})
    fields = [Field(name=field.name, type=field.type, shape=field.shape) for field in seen.fields]
    if labels is not None:
        classes = tuple(str(label) for label in labels.tolist())
        fields[-1] = Field(name=fields[-1].name, type=Kind.FLOAT, shape=fields[-1].shape, classes=classes)
    return Schema(tuple(fields))


def _labels(outputs: Schema) -> np.ndarray | None:
    """The labels of a classifier, in the order of its probabilities."""
    label, *rest = outputs.fields
    if not rest or not rest[0].classes:
        return None
    return np.array([_LABELS[label.type](text) for text in rest[0].classes], dtype=label.dtype)


def table_layout(inputs: Schema, features: int, columns: Sequence[str]) -> Layout:
    """How these inputs become rows of as many numbers. Raises ProjectError where they cannot.

    `columns` are the names that the model was fitted with, if it knows them.
    """
    if any(field.type is Kind.STRING for field in inputs.fields):
        raise ProjectError(f"the model takes numbers, the inputs are {inputs}")
    if len(inputs.fields) == 1 and len(inputs.fields[0].shape) == 1:
        layout, width = Layout.ARRAY, inputs.fields[0].shape[0]
    elif all(not field.shape for field in inputs.fields):
        layout, width = Layout.MATRIX, len(inputs.fields)
    else:
        raise ProjectError(f"the model takes rows of {features} numbers, the inputs are {inputs}")
    if width != features:
        raise ProjectError(f"the model takes rows of {features} numbers, the inputs have {width}: {inputs}")
    if layout is Layout.MATRIX and columns and list(columns) != list(inputs.names):
        raise ProjectError(
            f"the model was fitted with the columns {', '.join(columns)}; the inputs are "
            f"{', '.join(inputs.names)}: give them as they were given to fit()"
        )
    return layout


def check_same(original: Any, given: Given, found: Columns, outputs: Schema) -> None:
    """Raise PackageError unless an object with scikit-learn's API says what its kept file does."""
    layout = layout_of(original, given.columns, given.inputs, given.columns)
    expected = answers(original, feed(layout, given.inputs)(given.columns), given.names)
    rows = rows_of(given.columns)
    said = conform_all(outputs, expected, rows)
    row = first_difference(outputs, said, conform_all(outputs, found, rows), EXACT)
    if row is not None:
        raise PackageError(
            f"the library's own file of this {type(original).__name__} gives other answers than the object "
            f"itself, as for example {row}: it uses what the file does not hold (a value of `missing`, "
            "categories, a margin)"
        )
