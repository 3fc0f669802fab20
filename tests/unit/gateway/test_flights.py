"""Frames that are out, and what contenders say to them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.workers.stage import LINEAR, input_frame, scores_frame

from podium.errors import BadInput
from podium.gateway.flights import Scores, agreement
from podium.protocol.frames import ScoresFrame, Tensor
from podium.schema import Field, Kind, Schema

OUTPUTS = Schema((Field(name="y", type=Kind.FLOAT), Field(name="label", type=Kind.STRING)))
LABELS = Tensor("str", (2,), ["low", "high"])


def scores(**columns: Tensor) -> ScoresFrame:
    return scores_frame(input_frame([1.0, 2.0]), LINEAR, [], columns={"label": LABELS} | columns)


@pytest.mark.parametrize(
    "y", [Tensor("f8", (2,), bytes(16)), Tensor("i8", (2,), bytes(16))], ids=["float", "integers for floats"]
)
def test_scores_are_the_endpoints_outputs_whatever_else_a_model_gives(y: Tensor) -> None:
    found = Scores.of(scores(y=y, more=y), OUTPUTS, 2)
    assert found.lists == {"y": [0.0, 0.0], "label": ["low", "high"]}
    assert found.columns == {"y": y, "label": LABELS}


def test_a_failed_frame_needs_no_columns() -> None:
    failed = scores_frame(input_frame([1.0]), LINEAR, [], error="it broke", columns={})
    assert not Scores.of(failed, OUTPUTS, 1).whole


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({}, "no 'y'"),
        ({"y": Tensor("f8", (1,), bytes(8))}, "'y' has shape [1], expected 2 rows"),
        ({"y": Tensor("f8", (), bytes(8))}, "'y' has shape [], expected 2 rows"),
        ({"y": Tensor("f8", (2, 1), bytes(16))}, "'y' is f8[2, 1], expected y: float"),
        ({"y": Tensor("b1", (2,), bytes(2))}, "'y' is b1[2], expected y: float"),
        ({"y": LABELS}, "'y' is str[2], expected y: float"),
        ({"y": Tensor("f8", (2,), bytes(15))}, "not a tensor of f8[2]"),
        ({"y": Tensor("f8", (2,), bytes(16)), "label": Tensor("f8", (2,), bytes(16))}, "'label' is f8[2]"),
    ],
)
def test_scores_that_cannot_be_read_are_refused_with_what_was_expected(
    columns: dict[str, Tensor], words: str
) -> None:
    with pytest.raises(BadInput, match=re.escape(words)):
        Scores.of(scores(**columns), OUTPUTS, 2)


# --- agreement --------------------------------------------------------------------------------


def agreed(a: Any, b: Any, tolerance: float = 0.05) -> int:
    return agreement({"y": np.array(a)}, {"y": np.array(b)}, tolerance)


def test_numbers_agree_within_the_tolerance_and_everything_else_when_it_is_equal() -> None:
    assert agreed([100.0, 100.0, 0.0], [104.0, 106.0, 0.0]) == 2
    assert agreed([1, 2], [1, 3]) == 1
    assert agreed([True, False], [True, True]) == 1
    assert agreement({"y": np.array(["a", "b"], object)}, {"y": np.array(["a", "c"], object)}, 0.05) == 1


def test_rows_agree_when_all_their_outputs_and_all_values_of_a_tensor_do() -> None:
    a = {"y": np.array([1.0, 2.0]), "z": np.array([[1, 2], [3, 4]]), "only here": np.zeros(2)}
    b = {"y": np.array([1.0, 2.0]), "z": np.array([[1, 2], [3, 5]])}
    assert agreement(a, b, 0.0) == 1


def test_who_shares_no_output_agrees_on_nothing() -> None:
    assert agreement({"y": np.ones(2)}, {"z": np.ones(2)}, 0.05) == 0


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5), st.floats(0, 0.5))
def test_everybody_agrees_with_himself(values: list[float], tolerance: float) -> None:
    assert agreed(values, values, tolerance) == len(values)
