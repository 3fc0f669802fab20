"""Whole requests and answers of the Open Inference Protocol."""

from __future__ import annotations

import gzip
import json
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.http import InferenceServerClient, InferInput

from podium.errors import BadInput, InvalidInput, TooLarge, UnknownEncoding
from podium.protocol import oip
from podium.protocol.oip import Contract, InferRequest
from podium.records import Answer
from podium.schema import Field, Kind, Schema
from podium.validation import Validator

INPUTS = Schema(
    (
        Field(name="bmi", type=Kind.FLOAT),
        Field(name="age", type=Kind.INT, optional=True, default=50),
        Field(name="image", type=Kind.FLOAT, shape=(2, -1), optional=True, default=[[0.0], [0.0]]),
        Field(name="city", type=Kind.STRING, optional=True, default=""),
        Field(name="dose", type=Kind.FLOAT, missing=True, optional=True, default=0.0),
    )
)
OUTPUTS = Schema(
    (
        Field(name="progression", type=Kind.FLOAT),
        Field(name="label", type=Kind.STRING),
        Field(name="scores", type=Kind.FLOAT, shape=(2,)),
    )
)
CONTRACT = Contract("diabetes", INPUTS, OUTPUTS)
VALIDATOR = Validator(INPUTS)
COLUMNS: dict[str, list[Any]] = {
    "progression": [1.5, 2.5, 3.5],
    "label": ["low", "mittel ü", ""],
    "scores": [[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]],
}


def tensor(name: str = "bmi", **changes: Any) -> dict[str, Any]:
    return {"name": name, "shape": [2], "datatype": "FP64", "data": [0.1, 0.2]} | changes


def read(*inputs: dict[str, Any], **members: Any) -> InferRequest:
    return CONTRACT.read(json.dumps({"inputs": list(inputs), **members}).encode(), None, VALIDATOR)


def column(request: InferRequest, name: str) -> Any:
    return np.asarray(request.rows.columns[INPUTS.names.index(name)]).tolist()


def refused(*inputs: dict[str, Any], **members: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as found:
        read(*inputs, **members)
    return found.value


# --- requests -------------------------------------------------------------------------------


def test_a_request_becomes_rows_in_the_order_of_the_schema() -> None:
    request = read(tensor("age", datatype="INT32", data=[40, 41]), tensor(), id="mine")

    assert (request.id, request.rows.count, request.rows.single) == ("mine", 2, False)
    assert column(request, "bmi") == [0.1, 0.2]
    assert column(request, "age") == [40, 41]


@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_a_scalar_field_may_come_with_or_without_a_dimension_of_its_own(shape: list[int]) -> None:
    assert column(read(tensor(shape=shape)), "bmi") == [0.1, 0.2]


@pytest.mark.parametrize("data", [list(range(12)), np.arange(12).reshape(2, 2, 3).tolist()])
def test_data_is_flat_or_nested(data: list[Any]) -> None:
    request = read(tensor(), tensor("image", shape=[2, 2, 3], data=data))
    assert column(request, "image") == np.arange(12.0).reshape(2, 2, 3).tolist()


def test_optional_inputs_get_their_default() -> None:
    assert column(read(tensor()), "age") == [50, 50]


def test_null_and_nan_are_missing_values_where_the_schema_has_them() -> None:
    request = read(tensor(), tensor("dose", data=[None, 1.0]))
    assert np.isnan(column(request, "dose")[0])
    request = read(tensor(), tensor("dose", data=[float("nan"), 1.0]))
    assert np.isnan(column(request, "dose")[0])


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"data": [0.1]}, "$.inputs[0].data"),
        ({"data": [[0.1], [0.2, 0.3]]}, "$.inputs[0].data"),
        ({"data": [[0.1, 0.2]]}, "$.inputs[0].data"),
        ({"data": [0.1, "0.2"]}, "$.inputs[0].data[1]"),
        ({"data": [0.1, None]}, "$.inputs[0]"),
        ({"data": [0.1, float("inf")]}, "$.inputs[0]"),
        ({"data": [0.1, True]}, "$.inputs[0].data[1]"),
        ({"data": 0.1}, "$.inputs[0].data"),
        ({"shape": [-2]}, "$.inputs[0].shape[0]"),
        ({"shape": [2.5]}, "$.inputs[0].shape[0]"),
        ({"shape": [2**80]}, "$.inputs[0].shape[0]"),
        ({"shape": [2**31 - 1] * 8}, "$.inputs[0].data"),
        ({"shape": []}, "$.inputs[0].shape"),
        ({"shape": [10**9, 0], "data": []}, "$.inputs[0].shape"),
        ({"shape": [1, 2]}, "$.inputs[0]"),
        ({"datatype": "FP8"}, "$.inputs[0].datatype"),
        ({"datatype": "BYTES", "data": ["a", "b"]}, "$.inputs[0].datatype"),
        ({"datatype": "BOOL", "data": [True, False]}, "$.inputs[0].datatype"),
        ({"datatype": "INT8", "data": [1, 300]}, "$.inputs[0].data[1]"),
        ({"datatype": "UINT64", "data": [1, 2**64]}, "$.inputs[0].data"),
        ({"name": "bmj"}, "$.inputs[0]"),
        ({"name": "age"}, "$.inputs[0].datatype"),
        ({"parameters": {"shared_memory_region": "r"}}, "$.inputs[0].parameters.shared_memory_region"),
        ({"parameters": {"binary_data_size": 16}}, "$.inputs[0].data"),
    ],
)
def test_what_is_wrong_with_an_input_is_said_with_its_path(wrong: dict[str, Any], path: str) -> None:
    error = refused(tensor(**wrong))
    assert error.path == path
    assert error.expected


def test_inputs_must_have_as_many_rows_as_each_other() -> None:
    assert refused(tensor(), tensor("age", datatype="INT64", shape=[1], data=[1])).path == "$.inputs"


def test_an_input_given_twice_is_refused() -> None:
    assert refused(tensor(), tensor()).path == "$.inputs[1].name"


def test_a_missing_input_is_named() -> None:
    assert "'bmi' is missing" in str(refused(tensor("age", datatype="INT64", data=[1, 2])))


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists))
def test_no_data_whatever_is_more_than_a_refusal(data: Any) -> None:
    with suppress(BadInput):
        read(tensor(data=data))


# --- binary requests and decompression ------------------------------------------------------


def triton(*inputs: InferInput) -> tuple[bytes, str | None]:
    """The body that Triton's own client makes, and its header."""
    body, length = InferenceServerClient.generate_request_body(list(inputs))
    return body, None if length is None else str(length)


def triton_input(name: str, datatype: str, values: np.ndarray, *, binary: bool = True) -> InferInput:
    found: InferInput = InferInput(name, list(values.shape), datatype)
    return found.set_data_from_numpy(values, binary_data=binary)


def test_tritons_binary_tensors_are_read() -> None:
    bmi = np.array([0.1, 0.2], "f4")
    age = np.array([1, 2], "u2")
    city = np.array(["Köln", ""], object)
    request = CONTRACT.read(
        *triton(
            triton_input("city", "BYTES", city),
            triton_input("age", "UINT16", age),
            triton_input("bmi", "FP32", bmi),
        ),
        VALIDATOR,
    )
    assert column(request, "bmi") == bmi.astype("f8").tolist()
    assert column(request, "age") == [1, 2]
    assert column(request, "city") == ["Köln", ""]
    assert all(wanted.binary for wanted in request.outputs)


def test_binary_doubles_are_not_copied() -> None:
    body, length = triton(triton_input("bmi", "FP64", np.array([0.1, 0.2])))
    values = CONTRACT.read(body, length, VALIDATOR).rows.columns[0]
    assert isinstance(values, np.ndarray)
    assert np.shares_memory(values, np.frombuffer(body, "u1"))


def test_json_and_binary_inputs_may_be_mixed() -> None:
    body, length = triton(
        triton_input("age", "INT64", np.array([1, 2]), binary=False),
        triton_input("bmi", "FP64", np.array([0.1, 0.2])),
    )
    assert column(CONTRACT.read(body, length, VALIDATOR), "bmi") == [0.1, 0.2]


@pytest.mark.parametrize("header", ["x", "-1", "1e3", "", "99999", "²"])
def test_a_header_length_that_cannot_be_is_refused(header: str) -> None:
    body, _ = triton(triton_input("bmi", "FP64", np.array([0.1])))
    with pytest.raises(InvalidInput) as found:
        CONTRACT.read(body, header, VALIDATOR)
    assert found.value.path == "header inference-header-content-length"


@pytest.mark.parametrize(("cut", "added"), [(1, b""), (8, b""), (0, b"x")])
def test_too_few_and_too_many_bytes_are_refused(cut: int, added: bytes) -> None:
    body, length = triton(triton_input("bmi", "FP64", np.array([0.1, 0.2])))
    with pytest.raises(InvalidInput):
        CONTRACT.read(body[: len(body) - cut] + added, length, VALIDATOR)


@given(st.binary(max_size=300), st.integers(0, 300))
def test_bytes_of_any_kind_are_read_or_refused(body: bytes, length: int) -> None:
    with pytest.raises(BadInput):
        CONTRACT.read(body, str(length), VALIDATOR)


@given(st.binary(max_size=2000))
@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("Deflate", lambda body: zlib.compress(body, wbits=-15)),
        ("identity", bytes),
    ],
)
def test_what_was_compressed_comes_out(encoding: str, compress: Any, body: bytes) -> None:
    assert oip.decompress(compress(body), encoding, 2000) == body


def test_a_bomb_is_never_inflated_beyond_the_limit() -> None:
    bomb = gzip.compress(bytes(100_000_000))
    with pytest.raises(TooLarge, match="1000 bytes"):
        oip.decompress(bomb, "gzip", 1000)


@pytest.mark.parametrize(
    "body", [b"", b"no", gzip.compress(b"abc" * 100, mtime=0)[:-9], gzip.compress(b"a", mtime=0) + b"more"]
)
def test_what_is_no_whole_stream_is_refused(body: bytes) -> None:
    with pytest.raises(BadInput):
        oip.decompress(body, "gzip", 1000)


def test_an_unknown_compression_is_refused() -> None:
    with pytest.raises(UnknownEncoding, match="'br'"):
        oip.decompress(b"", "br", 1000)


# --- outputs and answers --------------------------------------------------------------------


def answer(rows: slice = slice(0, 3), *, arrays: bool = False, model: str = "linear") -> Answer:
    columns: dict[str, Any] = COLUMNS
    if arrays:
        columns = {name: np.array(values, OUTPUTS[name].dtype) for name, values in COLUMNS.items()}
    version = "9f2c1ab04d5e" if model else ""
    return Answer("id-1", columns, rows, model, version, "champion" if model else "default", 1.25)


def test_outputs_are_all_json_unless_asked_otherwise() -> None:
    assert [(o.field.name, o.binary) for o in read(tensor()).outputs] == [
        ("progression", False),
        ("label", False),
        ("scores", False),
    ]


def test_an_output_says_for_itself_whether_it_is_binary() -> None:
    request = read(
        tensor(),
        outputs=[{"name": "scores", "parameters": {"binary_data": False}}, {"name": "label"}],
        parameters={"binary_data_output": True},
    )
    assert [(o.field.name, o.binary) for o in request.outputs] == [("scores", False), ("label", True)]


def test_outputs_that_cannot_be_are_refused() -> None:
    assert "did you mean 'label'" in str(refused(tensor(), outputs=[{"name": "labels"}]))
    parameters = {"classification": 3}
    assert refused(tensor(), outputs=[{"name": "scores", "parameters": parameters}]).path == (
        "$.outputs[0].parameters.classification"
    )


@pytest.mark.parametrize("arrays", [False, True])
def test_an_answer_in_json_is_flat_and_says_who_gave_it(arrays: bool) -> None:
    headers, body = CONTRACT.write(read(tensor()), answer(slice(1, 3), arrays=arrays))

    assert headers == [("content-type", "application/json")]
    assert json.loads(body) == {
        "model_name": "diabetes",
        "model_version": "linear@9f2c1ab04d5e",
        "id": "id-1",
        "parameters": {"rule": "champion", "ms": 1.25},
        "outputs": [
            {"name": "progression", "datatype": "FP64", "shape": [2], "data": [2.5, 3.5]},
            {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["mittel ü", ""]},
            {"name": "scores", "datatype": "FP64", "shape": [2, 2], "data": [0.2, 0.8, 0.3, 0.7]},
        ],
    }


def test_a_default_answer_has_no_version() -> None:
    _, body = CONTRACT.write(read(tensor()), answer(model=""))
    assert "model_version" not in json.loads(body)


@pytest.mark.parametrize("arrays", [False, True])
@pytest.mark.parametrize("binary", [[True, True, True], [False, True, False], [True, False, True]])
def test_triton_reads_what_is_written(arrays: bool, binary: list[bool]) -> None:
    outputs = [{"name": n, "parameters": {"binary_data": b}} for n, b in zip(COLUMNS, binary, strict=True)]
    headers, body = CONTRACT.write(read(tensor(), outputs=outputs), answer(arrays=arrays))

    length = dict(headers)["inference-header-content-length"]
    assert ("content-type", "application/octet-stream") in headers
    result = InferenceServerClient.parse_response_body(body, header_length=int(length))
    assert result.as_numpy("progression").tolist() == COLUMNS["progression"]
    assert result.as_numpy("scores").tolist() == COLUMNS["scores"]
    texts = [t.decode() if isinstance(t, bytes) else t for t in result.as_numpy("label").tolist()]
    assert texts == COLUMNS["label"]


# --- metadata -------------------------------------------------------------------------------


def test_metadata_describes_the_endpoint_and_its_contenders() -> None:
    found = json.loads(CONTRACT.model_metadata(["linear@9f2c1ab04d5e"]))

    assert found["name"] == "diabetes"
    assert found["versions"] == ["linear@9f2c1ab04d5e"]
    assert found["platform"] == "podium"
    assert found["inputs"][0] == {"name": "bmi", "datatype": "FP64", "shape": [-1]}
    assert found["inputs"][2] == {"name": "image", "datatype": "FP64", "shape": [-1, 2, -1]}
    assert [output["datatype"] for output in found["outputs"]] == ["FP64", "BYTES", "FP64"]


def test_the_server_says_what_it_can() -> None:
    found = json.loads(oip.server_metadata())
    assert (found["name"], found["extensions"]) == ("podium", ["binary_tensor_data", "model_repository"])
    assert json.loads(oip.server_live()) == {"live": True}
    assert json.loads(oip.server_ready()) == {"ready": True}
    assert json.loads(CONTRACT.model_ready()) == {"name": "diabetes", "ready": True}


def test_the_repository_lists_each_contender() -> None:
    assert json.loads(CONTRACT.repository_index(["a@1", "b@2"])) == [
        {"name": "diabetes", "version": "a@1", "state": "READY", "reason": ""},
        {"name": "diabetes", "version": "b@2", "state": "READY", "reason": ""},
    ]
