"""Columns are built for a whole batch at a time, and checked one frame at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from podium.archive import columns
from podium.errors import BadInput
from podium.protocol.frames import Tensor, tensor
from podium.schema import Field, Kind


def column(field: Field, arrays: list[Any], failed: list[bool] | None = None) -> list[Any]:
    """The joined column of one frame for each array, as Python values; None is a frame without it."""
    tensors = [None if array is None else tensor(array) for array in arrays]
    rows = np.array([1 if array is None else len(array) for array in arrays])
    for packed, count in zip(tensors, rows.tolist(), strict=True):
        if packed is not None:
            columns.check(field, packed, count)
    mask = np.zeros(rows.sum(), bool) if failed is None else np.array(failed)
    return list(columns.joined(field, tensors, rows, mask).to_pylist())


def test_floats_of_several_frames_become_one_column() -> None:
    assert column(Field(name="x", type=Kind.FLOAT), [np.array([1.5, 2.5]), np.array([3.5])]) == [
        1.5,
        2.5,
        3.5,
    ]


def test_whole_numbers_are_floats_where_the_schema_says_float() -> None:
    field = Field(name="x", type=Kind.FLOAT)
    assert column(field, [np.array([1, 2]), np.array([0.5])]) == [1.0, 2.0, 0.5]


def test_whole_numbers_keep_every_digit() -> None:
    values = [2**63 - 1, -(2**63), 2**53 + 1]
    assert column(Field(name="n", type=Kind.INT), [np.array(values)]) == values


def test_booleans_and_strings_come_through() -> None:
    assert column(Field(name="b", type=Kind.BOOL), [np.array([True, False])]) == [True, False]
    words = np.array(["Zürich", "", "東京", "a\0b"], object)
    assert column(Field(name="s", type=Kind.STRING), [words]) == words.tolist()


def test_tensors_become_lists_in_lists() -> None:
    field = Field(name="t", type=Kind.INT, shape=(2, 3))
    values = np.arange(12).reshape(2, 2, 3)
    assert column(field, [values, values[:1]]) == [*values.tolist(), values[0].tolist()]


def test_tensors_of_an_open_shape_may_differ_between_frames() -> None:
    field = Field(name="t", type=Kind.FLOAT, shape=(-1, 2))
    frames = [np.ones((2, 3, 2)), np.zeros((1, 0, 2)), np.full((1, 1, 2), 7.0)]
    assert column(field, frames) == [value for frame in frames for value in frame.tolist()]


def test_tensors_of_strings_become_lists_of_strings() -> None:
    field = Field(name="s", type=Kind.STRING, shape=(2,))
    assert column(field, [np.array([["a", "b"], ["c", "d"]])]) == [["a", "b"], ["c", "d"]]


def test_a_frame_without_the_column_has_nulls_in_its_place() -> None:
    field = Field(name="x", type=Kind.FLOAT, optional=True, default=0.0)
    assert column(field, [np.array([1.0]), None, np.array([2.0])]) == [1.0, None, 2.0]
    assert column(field, [None, None]) == [None, None]


def test_a_failed_row_is_null_whatever_its_type() -> None:
    failed = [False, True]
    assert column(Field(name="x", type=Kind.FLOAT), [np.array([1.0, 0.0])], failed) == [1.0, None]
    assert column(Field(name="s", type=Kind.STRING), [np.array(["a", ""])], failed) == ["a", None]
    field = Field(name="t", type=Kind.FLOAT, shape=(2,))
    assert column(field, [np.array([[1.0, 2.0], [0.0, 0.0]])], failed) == [[1.0, 2.0], None]


FLOAT = Field(name="x", type=Kind.FLOAT)
OPEN = Field(name="x", type=Kind.FLOAT, shape=(-1,))


@pytest.mark.parametrize(
    ("field", "packed"),
    [
        (FLOAT, Tensor("str", (2,), ["a", "b"])),
        (FLOAT, Tensor("b1", (2,), b"\0\1")),
        (FLOAT, Tensor("f4", (2,), bytes(8))),
        (FLOAT, Tensor("f8", (3,), bytes(24))),
        (FLOAT, Tensor("f8", (2, 1), bytes(16))),
        (FLOAT, Tensor("f8", (), bytes(8))),
        (FLOAT, Tensor("f8", (2,), bytes(15))),
        (FLOAT, Tensor("f8", (2,), ["a", "b"])),
        (OPEN, Tensor("f8", (2, -1), bytes(16))),
        (OPEN, Tensor("f8", (-2, -1), bytes(16))),
        (Field(name="n", type=Kind.INT), Tensor("f8", (2,), bytes(16))),
        (Field(name="s", type=Kind.STRING), Tensor("str", (2,), ["a"])),
        (Field(name="s", type=Kind.STRING), Tensor("str", (2,), b"ab")),
    ],
)
def test_a_tensor_that_does_not_hold_two_rows_of_the_field_is_refused(field: Field, packed: Tensor) -> None:
    with pytest.raises(BadInput):
        columns.check(field, packed, 2)
