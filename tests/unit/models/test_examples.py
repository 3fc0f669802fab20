"""What inputs mean, in all the ways in which they are given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from podium.errors import ProjectError
from podium.models.examples import examples_of, mixed


@pytest.mark.parametrize(
    ("given", "schema"),
    [
        (pd.DataFrame({"bmi": [0.5], "age": [3]}), "{bmi: float, age: int}"),
        (pd.Series(["a", "b"], name="text"), "{text: string}"),
        ([{"bmi": 0.5, "town": "Ulm"}], "{bmi: float, town: string}"),
        (np.zeros((2, 3), "f4"), "{x: float[3]}"),
        ({"image": np.zeros((1, 2, 2)), "on": [True]}, "{image: float[2][2], on: bool}"),
        ({"bmi": "float", "image": "int[2][?]"}, "{bmi: float, image: int[2][?]}"),
    ],
)
def test_inputs_are_examples_or_types(given: Any, schema: str) -> None:
    examples = examples_of(given)
    assert str(examples.inputs) == schema
    for field in examples.inputs.fields:
        assert examples.columns[field.name].dtype == field.dtype


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"a": "flot"}, "did you mean 'float'"),
        ({"a": [np.inf]}, "infinity"),
        ({"a": [1.0], "b": [1.0, 2.0]}, "different numbers of rows"),
        ({}, "no columns"),
        (pd.DataFrame({"day": pd.to_datetime(["2026-01-01"])}), "'day' is datetime64"),
    ],
)
def test_inputs_that_cannot_be_served_are_refused(given: Any, problem: str) -> None:
    with pytest.raises(ProjectError, match=problem):
        examples_of(given)


def test_mixed_rows_have_only_values_that_were_there_and_are_always_the_same() -> None:
    columns = {"a": np.arange(4.0), "t": np.array([["x", "y"], ["z", "w"]] * 2, dtype=object)}
    once, again = mixed(columns), mixed(columns)
    assert set(once["a"]) == set(columns["a"])
    assert set(once["t"][:, 0]) == {"x", "z"}
    assert all((once[name] == again[name]).all() for name in columns)
    assert (once["a"][:4] == columns["a"]).all()
