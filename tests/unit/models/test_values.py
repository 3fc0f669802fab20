"""Columns exactly as declared."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from podium.errors import ModelFailed
from podium.models.values import conform, conform_all, fingerprint, from_json, to_json
from podium.schema import Field, Kind, Schema

VALUES = {
    Kind.FLOAT: st.floats(allow_infinity=False, width=64),
    Kind.INT: st.integers(-(2**63), 2**63 - 1),
    Kind.BOOL: st.booleans(),
    Kind.STRING: st.text(st.characters(exclude_categories=("Cs",)), max_size=5),
}


@st.composite
def columns(draw: st.DrawFn) -> tuple[Field, np.ndarray]:
    kind = draw(st.sampled_from(Kind))
    shape = draw(arrays.array_shapes(min_dims=1, max_dims=3, max_side=4))
    field = Field(name="a", type=kind, shape=shape[1:])
    return field, draw(arrays.arrays(field.dtype, shape, elements=VALUES[kind]))


@given(columns())
def test_columns_come_back_from_json_as_they_were(column: tuple[Field, np.ndarray]) -> None:
    field, values = column
    schema = Schema((field,))
    lists = msgspec.json.decode(msgspec.json.encode(to_json({"a": values})))
    back = from_json(schema, lists)["a"]
    assert back.dtype == values.dtype
    np.testing.assert_array_equal(back, values)
    assert fingerprint(schema, {"a": back}) == fingerprint(schema, {"a": values.copy()})


@pytest.mark.parametrize(
    ("field", "values"),
    [
        (Field(name="a", type=Kind.FLOAT), np.zeros((2, 1), "f4")),
        (Field(name="a", type=Kind.FLOAT), [1, 2]),
        (Field(name="a", type=Kind.INT), np.zeros(2, "u1")),
        (Field(name="a", type=Kind.STRING), np.array(["x", "y"])),
        (Field(name="a", type=Kind.FLOAT, shape=(-1,)), np.zeros((2, 9))),
    ],
)
def test_what_fits_gets_the_declared_type(field: Field, values: Any) -> None:
    found = conform(field, values, 2)
    assert found.dtype == field.dtype
    assert found.shape[0] == 2
    assert found.ndim == 1 + len(field.shape)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        (Field(name="a", type=Kind.FLOAT), np.zeros(3)),
        (Field(name="a", type=Kind.FLOAT), 1.0),
        (Field(name="a", type=Kind.FLOAT), ["x", "y"]),
        (Field(name="a", type=Kind.FLOAT), np.zeros((2, 2))),
        (Field(name="a", type=Kind.INT), np.zeros(2)),
        (Field(name="a", type=Kind.BOOL), [0, 1]),
        (Field(name="a", type=Kind.STRING), np.array(["x", None], dtype=object)),
        (Field(name="a", type=Kind.FLOAT, shape=(3,)), np.zeros((2, 2))),
    ],
)
def test_what_was_not_declared_is_a_failure_of_the_model(field: Field, values: Any) -> None:
    with pytest.raises(ModelFailed, match="output 'a'"):
        conform(field, values, 2)


def test_outputs_are_the_declared_ones_and_no_other() -> None:
    schema = Schema((Field(name="a", type=Kind.FLOAT),))
    with pytest.raises(ModelFailed, match=r"expected \{a: float\}"):
        conform_all(schema, {"a": np.zeros(1), "b": np.zeros(1)}, 1)
