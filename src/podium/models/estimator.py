"""Whatever has scikit-learn's API: which layout it takes, what it answers, what that is called."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from podium.errors import ProjectError
from podium.models.layout import Feed, Layout, candidates, feed
from podium.models.values import conform_all, rows_of
from podium.schema import Columns, Field, Kind, Schema, schema_of

PROBABILITY = "_probability"


class Estimator:
    """A fitted model behind columns: what the formats that keep the object itself serve."""

    def __init__(self, model: Any, layout: Layout, inputs: Schema, outputs: Schema) -> None:
        self._model = model
        self._feed: Feed = feed(layout, inputs)
        self._outputs = outputs
        self._names = names_of(outputs)

    def predict(self, columns: Columns) -> dict[str, np.ndarray]:
        found = answers(self._model, self._feed(columns), self._names)
        return conform_all(self._outputs, found, rows_of(columns))


def names_of(outputs: Schema) -> list[str]:
    """The outputs of `predict`, without those of `predict_proba`."""
    return [field.name for field in outputs.fields if not field.classes]


def answers(model: Any, fed: Any, names: list[str]) -> dict[str, np.ndarray]:
    """What `predict`, and `predict_proba` where there is one, say under these output names."""
    found = named(np.asarray(model.predict(fed)), names)
    if hasattr(model, "predict_proba"):
        probabilities = model.predict_proba(fed)
        each = probabilities if isinstance(probabilities, list) else [probabilities]
        found |= {f"{name}{PROBABILITY}": values for name, values in zip(names, each, strict=True)}
    return found


def named(predicted: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    if len(names) == 1:
        return {names[0]: predicted}
    if predicted.ndim != 2 or predicted.shape[1] != len(names):
        raise ProjectError(
            f"output names {len(names)} values, but predict() gives rows of shape {list(predicted.shape[1:])}"
        )
    return {name: predicted[:, index] for index, name in enumerate(names)}


def layout_of(model: Any, examples: Any, inputs: Schema, columns: Columns) -> Layout:
    """The first layout that the model takes without an error or a warning. Raises ProjectError."""
    problem: Exception | str = "several fields, one of them a tensor, do not fit a scikit-learn model"
    for layout in candidates(model, examples, inputs):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                model.predict(feed(layout, inputs)(columns))
        except Exception as error:
            problem = error
        else:
            return layout
    raise ProjectError(
        f"the model does not take its own example inputs: {_first_line(problem)}; give them as they were "
        "given to fit()"
    )


def _first_line(problem: Exception | str) -> str:
    return str(problem).strip().partition("\n")[0]


def outputs_of(model: Any, found: Columns) -> Schema:
    """The schema of these answers."""
    return Schema(tuple(_output(model, name, np.asarray(values)) for name, values in found.items()))


def _output(model: Any, name: str, values: np.ndarray) -> Field:
    if name.endswith(PROBABILITY) and values.ndim == 2:
        return Field(name=name, type=Kind.FLOAT, shape=(values.shape[1],), classes=_classes(model, values))
    declared = schema_of({name: values[:, 0] if values.shape[1:] == (1,) else values}).fields[0]
    kind = Kind.FLOAT if is_regressor(model) else declared.type
    return Field(name=name, type=kind, shape=declared.shape)


def _classes(model: Any, probabilities: np.ndarray) -> tuple[str, ...]:
    classes = getattr(model, "classes_", ())
    if len(classes) == probabilities.shape[1]:
        return tuple(str(label) for label in classes)
    return tuple(str(number) for number in range(probabilities.shape[1]))


def is_regressor(model: Any) -> bool:
    from sklearn.base import is_regressor as asked  # slow, and only while packing

    return bool(asked(model))
