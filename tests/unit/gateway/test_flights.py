"""Frames that are out, and what contenders say to them."""

from __future__ import annotations

import re

import pytest
from tests.unit.workers.stage import LINEAR, input_frame, scores_frame

from podium.errors import BadInput
from podium.gateway.flights import Scores
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
