"""Frames to scores: good rows keep their score whatever their neighbours do."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.workers.stage import Model

from podium.protocol.frames import Tensor, Work, pack
from podium.schema import Columns, Field, Kind, Schema
from podium.workers.scoring import ERROR_LENGTH, Scored, score_frames


def picky(columns: Columns) -> dict[str, np.ndarray]:
    """Twice x; it cannot bear 13, and knows nothing about 7."""
    x = columns["x"]
    if (x == 13).any():
        raise ValueError("I do not like 13")
    return {"y": np.where(x == 7, math.nan, 2 * x)}


def work(requests: Sequence[Sequence[Any]], *, dtype: Any = "f8", **fields: Any) -> Work:
    """A frame of requests, each the values of its rows."""
    rows = [len(request) for request in requests]
    values = np.array([value for request in requests for value in request], dtype)
    of_frame: dict[str, Any] = {
        "endpoint": "diabetes",
        "revision": 1,
        "source": "gateway-1",
        "seq": 1,
        "reply": "scores.gateway-1",
        "ids": msgspec.Raw(b""),
        "rows": None if set(rows) <= {1} else rows,
        "deadline": [0] * len(rows),
        "sent": 0,
        "expires": 0,
        "columns": pack({"x": values}),
    }
    return Work(**of_frame | fields)


def score(model: Model, *frames: Work) -> list[Scored]:
    return score_frames(model, frames, [len(frame.deadline) for frame in frames])


def said(scored: Scored, requests: Sequence[Sequence[Any]]) -> list[Any]:
    """What each request got: its values, or None for an error."""
    if scored.error is not None:
        return [None] * len(requests)
    ends = np.cumsum([len(request) for request in requests])
    return [
        None if index in scored.errors else scored.columns["y"][end - len(request) : end].tolist()
        for index, (request, end) in enumerate(zip(requests, ends, strict=True))
    ]


requests = st.lists(st.lists(st.integers(0, 20).map(float), min_size=1, max_size=3), min_size=1, max_size=6)


@given(st.lists(requests, min_size=1, max_size=4))
def test_every_request_gets_its_own_score_or_its_own_error(batch: list[list[list[float]]]) -> None:
    found = score(Model(picky), *[work(frame) for frame in batch])
    for frame, scored in zip(batch, found, strict=True):
        assert said(scored, frame) == [
            None if {7.0, 13.0} & set(request) else [2 * x for x in request] for request in frame
        ]
        for values in scored.columns.values():
            assert np.isfinite(values).all()


@given(st.lists(requests, min_size=1, max_size=4))
def test_several_frames_in_one_prediction_are_as_one_by_one(batch: list[list[list[float]]]) -> None:
    frames = [work(frame) for frame in batch]
    together = score(Model(picky), *frames)
    alone = [score(Model(picky), frame)[0] for frame in frames]
    for frame, one, other in zip(batch, together, alone, strict=True):
        assert said(one, frame) == said(other, frame)


def test_frames_of_one_shape_are_one_prediction() -> None:
    model = Model(picky)
    score(model, work([[1.0], [2.0]]), work([[3.0, 4.0]]), work([[5.0]]))
    assert model.asked == [5]


def test_the_request_to_blame_is_found_by_halving() -> None:
    model = Model(picky)
    (scored,) = score(model, work([[float(n)] for n in range(16, 0, -1)]))
    assert scored.errors.keys() == {3, 9}  # 13 and 7
    assert scored.errors[3] == "ValueError: I do not like 13"
    assert scored.errors[9] == "the model's output is NaN or infinite"
    assert len(model.asked) == 9


def test_a_frame_that_fails_as_a_whole_has_one_error_and_no_columns() -> None:
    (scored,) = score(Model(picky), work([[13.0], [13.0]]))
    assert scored == Scored(error="ValueError: I do not like 13")


def test_one_bad_frame_does_not_touch_the_others() -> None:
    good, bad = work([[1.0]]), work([[1.0]], columns={})
    found = score(Model(picky), good, bad, good)
    assert [scored.error for scored in found] == [None, "the frame has no input 'x'", None]


def test_frames_of_different_shapes_are_predicted_apart() -> None:
    wide = Schema((Field(name="x", type=Kind.FLOAT, shape=(-1,)),))
    model = Model(lambda columns: {"y": columns["x"].sum(axis=1)}, inputs=wide)
    found = score(model, work([[[1, 2]], [[3, 4]]]), work([[[1, 2, 3]]]))
    assert [scored.columns["y"].tolist() for scored in found] == [[3, 7], [6]]
    assert model.asked == [2, 1]


# --- junk from a model ------------------------------------------------------------------------


def fail(_: Columns) -> Any:
    raise RuntimeError("x" * 10_000)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda c: {"y": np.zeros(1)}, "'y' has 1 rows, expected 2"),
        (lambda c: {"y": np.zeros(3)}, "'y' has 3 rows, expected 2"),
        (lambda c: {"y": np.float64(1)}, "'y' has no rows, expected 2"),
        (lambda c: {"z": np.zeros(2)}, "the model returned ['z'], expected 'y'"),
        (lambda c: {}, "the model returned [], expected 'y'"),
        (lambda c: np.zeros(2), "the model returned ndarray, expected a mapping of columns"),
        (lambda c: None, "the model returned NoneType"),
        (lambda c: {"y": np.zeros((2, 1))}, "'y' has shape [1], expected y: float"),
        (lambda c: {"y": np.array(["a", "b"])}, "'y' is <U1, expected float"),
        (lambda c: {"y": np.array([1j, 1j])}, "'y' is complex128, expected float"),
        (lambda c: {"y": None}, "'y' has no rows"),
        (fail, "RuntimeError: xxx"),
    ],
)
def test_junk_is_an_error_that_says_what_was_wrong(answer: Callable[[Columns], Any], words: str) -> None:
    (scored,) = score(Model(answer), work([[1.0, 2.0]]))
    assert scored.error is not None
    assert scored.error.startswith(words)
    assert len(scored.error) <= ERROR_LENGTH
    assert not scored.columns


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_a_row_that_is_not_a_number_is_an_error_and_a_zero(wrong: float) -> None:
    (scored,) = score(Model(lambda c: {"y": np.array([1.0, wrong])}), work([[1.0], [2.0]]))
    assert scored.errors == {1: "the model's output is NaN or infinite"}
    assert scored.columns["y"].tolist() == [1.0, 0.0]


def test_nan_is_fine_where_the_schema_says_that_it_can_be_missing() -> None:
    outputs = Schema((Field(name="y", type=Kind.FLOAT, missing=True),))
    (scored,) = score(Model(lambda c: {"y": np.array([math.nan])}, outputs=outputs), work([[1.0]]))
    assert (scored.error, scored.errors) == (None, {})


def test_a_model_may_give_lists_other_widths_and_more_than_is_asked() -> None:
    (scored,) = score(Model(lambda c: {"y": [1, 2], "more": 3}), work([[1.0], [2.0]]))
    assert scored.columns.keys() == {"y"}
    assert scored.columns["y"].dtype == np.dtype("<f8")


def test_strings_that_failed_are_empty_where_others_are_scored() -> None:
    outputs = Schema((Field(name="y", type=Kind.STRING),))

    def words(columns: Columns) -> dict[str, np.ndarray]:
        picky(columns)
        return {"y": np.array([f"n{x:g}" for x in columns["x"]])}

    (scored,) = score(Model(words, outputs=outputs), work([[1.0], [13.0], [2.0]]))
    assert scored.columns["y"].tolist() == ["n1", "", "n2"]
    assert list(scored.errors) == [1]


@pytest.mark.parametrize("values", [[1, 2], ["a", None], ["a", math.nan], [b"a", b"b"]])
def test_what_is_no_string_is_junk_where_strings_are_declared(values: list[Any]) -> None:
    outputs = Schema((Field(name="y", type=Kind.STRING),))
    answer = {"y": np.array(values, object)}
    (scored,) = score(Model(lambda c: answer, outputs=outputs), work([[1.0, 2.0]]))
    assert scored.error == "'y' is object and not all strings, expected y: string"


def test_outputs_whose_open_shape_depends_on_the_rows_are_an_error_when_they_do_not_fit() -> None:
    outputs = Schema((Field(name="y", type=Kind.FLOAT, shape=(-1,)),))

    def shapes(columns: Columns) -> dict[str, np.ndarray]:
        picky(columns)
        return {"y": np.zeros((len(columns["x"]), int(columns["x"][0])))}

    (scored,) = score(Model(shapes, outputs=outputs), work([[1.0], [2.0], [13.0]]))
    assert scored.error == "the model's outputs have different shapes for different requests"


# --- junk from a gateway ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"columns": {"x": Tensor("f8", (2,), b"short")}},
        {"columns": {"x": Tensor("f8", (3,), bytes(24))}},
        {"columns": {"x": Tensor("f8", (), bytes(8))}},
        {"columns": {"x": Tensor("str", (2,), ["a", "b"])}},
        {"rows": [1]},
        {"rows": [3, -1]},
        {"rows": [2, 2]},
        {"deadline": []},
    ],
)
def test_a_frame_whose_parts_disagree_is_an_error_for_all_of_it(fields: dict[str, Any]) -> None:
    model = Model(picky)
    good, bad = work([[1.0], [2.0]]), work([[1.0], [2.0]], **fields)
    found = score(model, good, bad)
    assert found[0].columns["y"].tolist() == [2.0, 4.0]
    assert found[1].error
    assert model.asked == [2]


def test_a_model_sees_only_its_own_inputs_with_defaults_for_those_that_the_endpoint_has_not() -> None:
    seen: dict[str, Any] = {}
    inputs = Schema(
        (
            Field(name="x", type=Kind.FLOAT),
            Field(name="dose", type=Kind.FLOAT, optional=True, default=1.5),
            Field(name="pair", type=Kind.INT, shape=(2,), optional=True, default=[7, 8]),
        )
    )

    def look(columns: Columns) -> dict[str, np.ndarray]:
        seen.update({name: values.tolist() for name, values in columns.items()})
        return {"y": columns["x"]}

    columns = pack({"other": np.zeros(2), "x": np.array([1, 2])})
    score(Model(look, inputs=inputs), work([[1.0], [2.0]], columns=columns))
    assert seen == {"x": [1.0, 2.0], "dose": [1.5, 1.5], "pair": [[7, 8], [7, 8]]}
