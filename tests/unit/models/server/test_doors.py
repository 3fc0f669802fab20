"""Each protocol: the requests that rows become, the columns that replies become, and what is refused."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.errors import ModelFailed, PackageError
from podium.models.server.base import Door
from podium.models.server.doors import DOORS, door_of
from podium.models.server.http import Reply
from podium.schema import Field, Kind, Schema
from podium.servers import LAYOUTS, Server

AT = "http://127.0.0.1:9000"
INPUTS = Schema(
    (
        Field(name="bmi", type=Kind.FLOAT, missing=True),
        Field(name="sex", type=Kind.INT),
        Field(name="smokes", type=Kind.BOOL),
        Field(name="town", type=Kind.STRING),
    )
)
NUMBERS = Schema((Field(name="bmi", type=Kind.FLOAT, missing=True), Field(name="sex", type=Kind.INT)))
TENSOR = Schema((Field(name="img", type=Kind.FLOAT, shape=(2, 2)),))
SCORE = Schema((Field(name="score", type=Kind.FLOAT),))
TWO = Schema((Field(name="score", type=Kind.FLOAT), Field(name="kind", type=Kind.INT)))

ROWS: dict[str, np.ndarray] = {
    "bmi": np.array([0.5, np.nan]),
    "sex": np.array([1, 2]),
    "smokes": np.array([True, False]),
    "town": np.array(["Köln", 'a "b", c'], dtype=object),
}
IMAGES = {"img": np.arange(8.0).reshape(2, 2, 2)}


def door(protocol: str, inputs: Schema = INPUTS, outputs: Schema = SCORE, **more: Any) -> Door:
    layout = more.pop("layout", next(iter(LAYOUTS[protocol]), ""))
    return door_of(Server(url=AT, protocol=protocol, layout=layout, **more), inputs, outputs)


def bodies(asked: Door, columns: dict[str, np.ndarray] = ROWS) -> list[Any]:
    return [json.loads(question.body or b"null") for question in asked.questions(columns)]


def reply(said: Any, kind: str = "application/json", status: int = 200) -> Reply:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    return Reply(status=status, kind=kind, location="", body=body)


def scores(asked: Door, said: Any, rows: int = 2, kind: str = "application/json") -> list[Any]:
    found: list[Any] = asked.answers([reply(said, kind)], rows)["score"].tolist()
    return found


def refused(asked: Door, said: Any, rows: int = 2, kind: str = "application/json") -> str:
    with pytest.raises(ModelFailed) as caught:
        asked.answers([reply(said, kind)], rows)
    return str(caught.value)


def test_every_protocol_of_the_project_file_is_spoken() -> None:
    assert set(DOORS) == set(LAYOUTS)
    with pytest.raises(PackageError, match="this Podium speaks"):
        door_of(Server(url=AT, protocol="later"), INPUTS, SCORE)


# --- Open Inference Protocol ----------------------------------------------------------------


def test_oip_sends_a_tensor_for_each_input() -> None:
    asked = door("oip")
    (question,) = asked.questions(ROWS)
    assert (question.method, question.target, asked.health) == ("POST", "/infer", "/ready")
    assert bodies(asked)[0]["inputs"] == [
        {"name": "bmi", "shape": [2], "datatype": "FP64", "data": [0.5, None]},
        {"name": "sex", "shape": [2], "datatype": "INT64", "data": [1, 2]},
        {"name": "smokes", "shape": [2], "datatype": "BOOL", "data": [True, False]},
        {"name": "town", "shape": [2], "datatype": "BYTES", "data": ["Köln", 'a "b", c']},
    ]


def test_oip_sends_numbers_side_by_side_in_one_matrix() -> None:
    (body,) = bodies(door("oip", NUMBERS, layout="matrix"))
    assert body["inputs"] == [
        {"name": "x", "shape": [2, 2], "datatype": "FP64", "data": [0.5, 1.0, None, 2.0]}
    ]
    with pytest.raises(PackageError, match="`matrix` holds single numbers"):
        door("oip", layout="matrix")


def test_oip_keeps_to_the_names_and_datatypes_that_the_server_says() -> None:
    asked = door("oip", NUMBERS)
    assert asked.metadata == "/"
    asked.learn({"name": "m", "inputs": [{"name": "bmi", "datatype": "FP32", "shape": [-1]}]})
    assert [tensor["datatype"] for tensor in bodies(asked)[0]["inputs"]] == ["FP32", "INT64"]
    matrix = door("oip", NUMBERS, layout="matrix")
    matrix.learn({"inputs": [{"name": "float_input", "datatype": "FP32", "shape": [-1, 2]}]})
    (sent,) = bodies(matrix)[0]["inputs"]
    assert (sent["name"], sent["datatype"], sent["shape"]) == ("float_input", "FP32", [2, 2])
    for nothing in ({"name": "m"}, {"inputs": []}, {"inputs": 5}, [], None):
        asked.learn(nothing)
        assert bodies(asked)[0]["inputs"][1]["datatype"] == "INT64"


def tensor(data: Any, shape: list[int], name: str = "score") -> dict[str, Any]:
    return {"outputs": [{"name": name, "shape": shape, "datatype": "FP64", "data": data}]}


def test_oip_reads_flat_and_nested_data_and_one_output_under_any_name() -> None:
    asked = door("oip")
    assert scores(asked, tensor([1, 2.5], [2])) == [1, 2.5]
    assert scores(asked, tensor([[1], [2.5]], [2, 1], name="predict")) == [1, 2.5]
    found = door("oip", outputs=TWO).answers(
        [
            reply(
                {
                    "outputs": [
                        {"name": "kind", "shape": [2], "data": [3, 4]},
                        {"name": "score", "shape": [2], "data": [1, None]},
                    ]
                }
            )
        ],
        2,
    )
    assert found["kind"].tolist() == [3, 4]
    assert np.isnan(found["score"][1])


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (tensor([1], [1]), "shape [1] for 2 rows"),
        (tensor([1, 2, 3], [2]), "3 values, which do not fill its shape [2]"),
        (tensor([1, 2], [-1, 2**40]), "do not fill its shape"),
        (tensor(["a", "b"], [2]), "expected values of score: float"),
        (tensor([], []), "do not fill its shape"),
        ({"outputs": []}, "it answered the outputs [], expected 'score'"),
        ({"predictions": [1, 2]}, "not of the Open Inference Protocol"),
        ([1, 2], "not of the Open Inference Protocol"),
    ],
)
def test_oip_refuses_what_is_no_score_for_each_row(said: Any, told: str) -> None:
    assert told in refused(door("oip"), said)


# --- predictions ----------------------------------------------------------------------------


def test_mlflow_sends_a_data_frame_or_a_matrix() -> None:
    asked = door("mlflow")
    assert (asked.questions(ROWS)[0].target, asked.health) == ("/invocations", "/ping")
    assert bodies(asked)[0] == {
        "dataframe_split": {
            "columns": ["bmi", "sex", "smokes", "town"],
            "data": [[0.5, 1, True, "Köln"], [None, 2, False, 'a "b", c']],
        }
    }
    assert bodies(door("mlflow", NUMBERS, layout="inputs"))[0] == {"inputs": [[0.5, 1], [None, 2]]}
    images = [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
    assert bodies(door("mlflow", TENSOR, layout="inputs"), IMAGES)[0] == {"inputs": images}
    frame = {"columns": ["img"], "data": [[image] for image in images]}
    assert bodies(door("mlflow", TENSOR), IMAGES)[0] == {"dataframe_split": frame}


def test_vertex_sends_objects_or_lists_and_knows_the_health_of_a_predict_route() -> None:
    asked = door_of(
        Server(url=f"{AT}/v1/models/m:predict", protocol="vertex", layout="objects"), NUMBERS, SCORE
    )
    assert asked.questions(ROWS)[0].target == "/v1/models/m:predict"
    assert asked.health == "/v1/models/m"
    assert bodies(asked)[0] == {"instances": [{"bmi": 0.5, "sex": 1}, {"bmi": None, "sex": 2}]}
    assert bodies(door("vertex", NUMBERS, layout="lists"))[0] == {"instances": [[0.5, 1], [None, 2]]}
    assert door("vertex").health == ""
    assert door("vertex", health="/health").health == "/health"


def test_sagemaker_sends_lines_of_csv_or_a_list_of_rows() -> None:
    asked = door("sagemaker")
    (question,) = asked.questions(ROWS)
    assert (question.target, question.headers["content-type"]) == ("/invocations", "text/csv")
    assert question.body == '0.5,1,1,Köln\n,2,0,"a ""b"", c"\n'.encode()
    assert bodies(door("sagemaker", NUMBERS, layout="json"))[0] == [[0.5, 1], [None, 2]]
    with pytest.raises(PackageError, match="CSV hold single values"):
        door("sagemaker", TENSOR)


@pytest.mark.parametrize(
    "said",
    [
        b"1.5\n2\n",
        b"1.5,2\n",
        b"1.5\r\n2",
    ],
)
def test_sagemaker_reads_csv_in_lines_or_in_one_line(said: bytes) -> None:
    assert scores(door("sagemaker"), said, kind="text/csv") == [1.5, 2]


def test_sagemaker_refuses_csv_with_too_few_lines_and_reads_json_too() -> None:
    asked = door("sagemaker")
    assert "1 lines for 2 rows" in refused(asked, b"1.5\n", kind="text/csv")
    assert "expected values of score" in refused(asked, b"a\nb\n", kind="text/csv")
    assert "no CSV" in refused(asked, b'"' + b"1" * 200_000, kind="text/csv")
    assert "lines for 2 rows" in refused(asked, b"\xff\x00", kind="text/csv")
    assert scores(asked, [1, 2]) == [1, 2]
    assert scores(asked, {"predictions": [{"score": 1}, {"score": 2}]}) == [1, 2]


@pytest.mark.parametrize("protocol", ["mlflow", "vertex"])
@pytest.mark.parametrize(
    "predictions", [[1, 2.5], [[1], [2.5]], [{"score": 1, "more": 0}, {"score": 2.5}], [{"p": 1}, {"p": 2.5}]]
)
def test_predictions_are_values_lists_of_one_or_objects(protocol: str, predictions: list[Any]) -> None:
    assert scores(door(protocol), {"predictions": predictions}) == [1, 2.5]


def test_several_outputs_come_as_objects_or_as_lists_in_the_schema_s_order() -> None:
    asked = door("vertex", outputs=TWO)
    for said in ([[1.5, 3], [2, 4]], [{"kind": 3, "score": 1.5}, {"kind": 4, "score": 2}]):
        found = asked.answers([reply({"predictions": said})], 2)
        assert (found["score"].tolist(), found["kind"].tolist()) == ([1.5, 2], [3, 4])
    assert "no lists of 2 values" in refused(asked, {"predictions": [1, 2]})


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"predictions": [1]}, "1 predictions for 2 rows"),
        ({"predictions": []}, "0 predictions for 2 rows"),
        ({"predictions": 5}, "its predictions are 5, expected a list"),
        ({"answer": [1, 2]}, "its answer has ['answer'], expected 'predictions'"),
        ({"predictions": ["a", "b"]}, "expected values of score"),
        ({"predictions": [{"a": 1, "b": 2}, {"a": 1, "b": 2}]}, "a prediction has ['a', 'b']"),
        ({"predictions": [{"score": 1}, 5]}, "a prediction has 5"),
        ({"predictions": [[1], [1, 2]]}, "expected values of score"),
    ],
)
def test_predictions_that_are_no_score_for_each_row_are_refused(said: Any, told: str) -> None:
    assert told in refused(door("mlflow"), said)


# --- one row a request ----------------------------------------------------------------------


def test_json_sends_each_row_by_name_and_reads_its_outputs_by_name() -> None:
    asked = door("json", NUMBERS, TWO)
    assert bodies(asked) == [{"bmi": 0.5, "sex": 1}, {"bmi": None, "sex": 2}]
    replies = [reply({"score": 1, "kind": 3}), reply({"score": None, "kind": 4.0, "more": 1})]
    found = asked.answers(replies, 2)
    assert found["kind"].tolist() == [3, 4]
    assert found["score"][0] == 1
    assert np.isnan(found["score"][1])


def test_a_query_names_the_parameters_and_leaves_out_what_is_missing() -> None:
    query = {"var1": "bmi", "ö": "town", "s": "smokes"}
    asked = door("json", method="GET", path="/score", query=query)
    targets = [question.target for question in asked.questions(ROWS)]
    assert targets == [
        "/score?var1=0.5&%C3%B6=K%C3%B6ln&s=true",
        "/score?%C3%B6=a+%22b%22%2C+c&s=false",
    ]
    assert all(question.body is None for question in asked.questions(ROWS))


def test_a_body_is_filled_with_the_row_and_what_is_no_text_stays() -> None:
    body = {"features": ["bmi", "sex"], "deep": {"town": "town"}, "version": 2, "exact": True}
    asked = door("json", body=body, path="/predict", query={"who": "sex"})
    first = asked.questions(ROWS)[0]
    assert first.target == "/predict?who=1"
    assert json.loads(first.body or b"") == {
        "features": [0.5, 1],
        "deep": {"town": "Köln"},
        "version": 2,
        "exact": True,
    }


def test_outputs_are_found_where_their_paths_lead() -> None:
    asked = door_of(
        Server(url=AT, protocol="json", outputs={"score": "$.scores[1]", "kind": '$["a b"].kind'}),
        INPUTS,
        TWO,
    )
    found = asked.answers([reply({"scores": [0, 1.5], "a b": {"kind": 3}})], 1)
    assert (found["score"].tolist(), found["kind"].tolist()) == ([1.5], [3])
    assert "has no $.scores[1]" in refused(asked, {"scores": [0]}, 1)
    assert "has no $.scores[1]" in refused(asked, {"scores": "no list"}, 1)


def test_names_that_the_schema_does_not_have_are_refused_also_where_it_was_not_known_before() -> None:
    for server in (
        Server(url=AT, protocol="json", method="GET", query={"a": "bim"}),
        Server(url=AT, protocol="json", body={"a": ["bim"]}),
        Server(url=AT, protocol="json", outputs={"scor": "$"}),
    ):
        with pytest.raises(PackageError, match="did you mean"):
            door_of(server, NUMBERS, SCORE)


_WORDS = st.sampled_from(["predictions", "outputs", "name", "shape", "data", "score"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("protocol", DOORS)
@given(said=ANYTHING)
def test_whatever_is_answered_is_one_score_for_each_row_or_one_error(protocol: str, said: Any) -> None:
    asked = door(protocol, NUMBERS)
    rows = 2
    replies = [reply(said)] * (rows if protocol == "json" else 1)
    with suppress(ModelFailed):
        found = asked.answers(replies, rows)
        assert found["score"].shape == (rows,)
        assert found["score"].dtype == np.float64
