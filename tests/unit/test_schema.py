"""Schemas: read from examples, and which ones fit."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.errors import ProjectError, SchemaMismatch
from podium.schema import (
    Field,
    Kind,
    Schema,
    check_contender,
    check_default,
    check_outputs,
    columns_of,
    did_you_mean,
    same_shape,
    schema_of,
)

BMI = Field(name="bmi", type=Kind.FLOAT)
AGE = Field(name="age", type=Kind.INT)
PIXELS = Field(name="pixels", type=Kind.FLOAT, shape=(8, -1))
ENDPOINT = Schema((BMI, AGE, PIXELS))

# --- read from examples -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ([0.5, -1.5], Field(name="x", type=Kind.FLOAT, minimum=-1.5, maximum=0.5)),
        ([3, 1, 2], Field(name="x", type=Kind.INT, minimum=1.0, maximum=3.0)),
        (np.array([1, 2], "u1"), Field(name="x", type=Kind.INT, minimum=1.0, maximum=2.0)),
        ([True, False], Field(name="x", type=Kind.BOOL, minimum=0.0, maximum=1.0)),
        (["a", "b"], Field(name="x", type=Kind.STRING)),
        (np.array(["a", "b"], object), Field(name="x", type=Kind.STRING)),
        ([[1.0, 2.0], [3.0, 4.0]], Field(name="x", type=Kind.FLOAT, shape=(2,), minimum=1.0, maximum=4.0)),
        ([1.0, math.nan], Field(name="x", type=Kind.FLOAT, missing=True, minimum=1.0, maximum=1.0)),
        ([math.nan], Field(name="x", type=Kind.FLOAT, missing=True)),
        (np.zeros((2, 0)), Field(name="x", type=Kind.FLOAT, shape=(0,))),
    ],
)
def test_a_column_of_examples_has_a_type_a_shape_and_a_range(values: Any, field: Field) -> None:
    assert schema_of({"x": np.asarray(values)}) == Schema((field,))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.array([]), "no rows"),
        (np.array(1.0), "no rows"),
        (np.array(["a", None], object), "no missing strings"),
        (np.array([1 + 1j]), "complex128"),
        (np.array(["2026-01-01"], "M8[D]"), "datetime64"),
    ],
)
def test_a_column_that_cannot_be_served_is_refused_by_name(values: np.ndarray, words: str) -> None:
    with pytest.raises(ProjectError, match=words) as caught:
        schema_of({"height": values})
    assert "'height'" in str(caught.value)


@pytest.mark.parametrize(
    "examples",
    [
        {"a": [1, 2], "b": [0.5, 1.5]},
        [{"a": 1, "b": 0.5}, {"a": 2, "b": 1.5}],
        pytest.param("frame", id="data frame"),
    ],
)
def test_examples_come_as_a_mapping_a_list_of_rows_or_a_data_frame(examples: Any) -> None:
    if examples == "frame":
        pandas = pytest.importorskip("pandas")
        examples = pandas.DataFrame({"a": [1, 2], "b": [0.5, 1.5]})
    columns = columns_of(examples)
    assert {name: values.tolist() for name, values in columns.items()} == {"a": [1, 2], "b": [0.5, 1.5]}


def test_an_array_without_names_is_the_field_x() -> None:
    assert str(schema_of(columns_of(np.zeros((5, 3))))) == "{x: float[3]}"


# --- which schemas fit ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "needed",
    [
        (),
        (BMI,),
        (PIXELS, BMI, AGE),
        (Field(name="age", type=Kind.FLOAT),),
        (Field(name="pixels", type=Kind.FLOAT, shape=(8, 8)),),
        (Field(name="pixels", type=Kind.FLOAT, shape=(-1, -1)),),
        (BMI, Field(name="new", type=Kind.FLOAT, optional=True, default=0.0)),
    ],
)
def test_a_contender_may_use_fewer_inputs_than_the_endpoint_has(needed: tuple[Field, ...]) -> None:
    check_contender(ENDPOINT, Schema(needed), what="forest")


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (Field(name="bim", type=Kind.FLOAT), r"'bim' is not one of its fields \(did you mean 'bmi'\?\)"),
        (Field(name="bmi", type=Kind.INT), "'bmi' is float there and int here"),
        (Field(name="bmi", type=Kind.STRING), "'bmi' is float there and string here"),
        (Field(name="bmi", type=Kind.FLOAT, shape=(2,)), r"'bmi' has shape \[\] there and \[2\] here"),
        (Field(name="pixels", type=Kind.FLOAT, shape=(9, 9)), r"shape \[8, -1\] there and \[9, 9\] here"),
    ],
)
def test_a_contender_that_needs_more_is_refused_with_both_shown(field: Field, words: str) -> None:
    with pytest.raises(SchemaMismatch, match=words) as caught:
        check_contender(ENDPOINT, Schema((AGE, field)), what="forest")
    assert str(caught.value).startswith("forest does not fit the endpoint: ")
    assert str(ENDPOINT) in str(caught.value)
    assert str(field) in str(caught.value)


def test_a_contender_may_give_more_outputs_than_the_endpoint_promises_but_not_fewer() -> None:
    check_outputs(Schema((BMI,)), ENDPOINT, what="forest")
    with pytest.raises(SchemaMismatch, match="forest: its outputs"):
        check_outputs(ENDPOINT, Schema((BMI,)), what="forest")


sizes = st.lists(st.integers(-1, 4), max_size=3)


@given(sizes, sizes)
def test_fitting_shapes_is_mutual(a: list[int], b: list[int]) -> None:
    assert same_shape(a, b) == same_shape(b, a)
    assert same_shape(a, a)


# --- default answers --------------------------------------------------------------------------

OUTPUTS = Schema(
    (
        Field(name="progression", type=Kind.FLOAT),
        Field(name="label", type=Kind.STRING),
        Field(name="risks", type=Kind.FLOAT, shape=(2,)),
        Field(name="sure", type=Kind.BOOL),
    )
)
DEFAULT = {"progression": 152.13, "label": "low", "risks": [0.5, 0.5], "sure": False}


def test_a_default_answer_gives_every_output() -> None:
    check_default(OUTPUTS, DEFAULT)
    check_default(OUTPUTS, DEFAULT | {"progression": 152})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"progresion": 1.0}, "did you mean 'progression'"),
        ({"progression": [[1.0], [1.0, 2.0]]}, "expected progression: float"),
        ({"progression": "high"}, "'progression' is 'high', expected progression: float"),
        ({"progression": math.nan}, "expected progression: float"),
        ({"progression": True}, "expected progression: float"),
        ({"progression": [1.0]}, "expected progression: float"),
        ({"label": 3}, "expected label: string"),
        ({"risks": [1.0]}, r"expected risks: float\[2\]"),
        ({"sure": 0}, "expected sure: bool"),
    ],
)
def test_a_default_answer_that_is_none_of_the_endpoints_is_refused(
    change: dict[str, Any], words: str
) -> None:
    with pytest.raises(ProjectError, match=words):
        check_default(OUTPUTS, DEFAULT | change)


@pytest.mark.parametrize("name", list(DEFAULT))
def test_a_default_answer_without_an_output_is_refused(name: str) -> None:
    with pytest.raises(ProjectError, match=f"the output {name}: .* has no default value"):
        check_default(OUTPUTS, {key: value for key, value in DEFAULT.items() if key != name})


# --- small things -----------------------------------------------------------------------------


def test_a_schema_says_itself_in_one_line() -> None:
    optional = Field(name="dose", type=Kind.FLOAT, optional=True, default=0.0)
    assert str(Schema((BMI, PIXELS, optional))) == "{bmi: float, pixels: float[8][?], dose: float (optional)}"


def test_a_schema_finds_its_fields_by_name() -> None:
    assert ENDPOINT["age"] is AGE
    assert ("age" in ENDPOINT, "sex" in ENDPOINT) == (True, False)
    with pytest.raises(KeyError):
        ENDPOINT["sex"]


def test_a_schema_survives_being_written_down() -> None:
    assert msgspec.json.decode(msgspec.json.encode(ENDPOINT), type=Schema) == ENDPOINT


def test_a_word_that_is_not_near_any_is_not_guessed() -> None:
    assert did_you_mean("zebra", ["bmi", "age"]) == ""
