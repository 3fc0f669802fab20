"""Whole requests and answers of the Open Inference Protocol over gRPC."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tritonclient.grpc import InferInput, InferResult, service_pb2

from podium.errors import InvalidInput
from podium.protocol import oip, oip_grpc
from podium.protocol.inference import ModelInferRequest
from podium.records import Answer
from podium.schema import Field, Kind, Schema
from podium.validation import Validator

INPUTS = Schema(
    (
        Field(name="bmi", type=Kind.FLOAT),
        Field(name="age", type=Kind.INT, optional=True, default=50),
        Field(name="ill", type=Kind.BOOL, optional=True, default=False),
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
        Field(name="grade", type=Kind.INT),
        Field(name="high", type=Kind.BOOL),
    )
)
CONTRACT = oip.Contract("diabetes", INPUTS, OUTPUTS)
VALIDATOR = Validator(INPUTS)
BMI = struct.pack("<2d", 0.1, 0.2)
COLUMNS: dict[str, list[Any]] = {
    "progression": [1.5, 2.5, 3.5],
    "label": ["low", "mittel ü", ""],
    "scores": [[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]],
    "grade": [1, -2, 2**62],
    "high": [True, False, True],
}


def tensor(message: Any, datatype: str = "FP64", *, name: str = "bmi", shape: Sequence[int] = (2,)) -> Any:
    return message.inputs.add(name=name, datatype=datatype, shape=shape)


def typed(
    datatype: str, field: str, values: Sequence[Any], *, name: str = "bmi", shape: Sequence[int] = (2,)
) -> Any:
    message = ModelInferRequest(model_name="diabetes")
    contents = tensor(message, datatype, name=name, shape=shape).contents
    getattr(contents, field).extend(values)
    if name != "bmi":
        tensor(message).contents.fp64_contents.extend([0.1, 0.2])
    return message


def raw(datatype: str = "FP64", data: bytes = BMI, *, name: str = "bmi", shape: Sequence[int] = (2,)) -> Any:
    message = ModelInferRequest(model_name="diabetes", raw_input_contents=[data])
    tensor(message, datatype, name=name, shape=shape)
    if name != "bmi":
        tensor(message)
        message.raw_input_contents.append(BMI)
    return message


def read(message: Any) -> oip.InferRequest:
    return oip_grpc.read(message, CONTRACT, VALIDATOR)


def column(request: oip.InferRequest, name: str) -> Any:
    return np.asarray(request.rows.columns[INPUTS.names.index(name)]).tolist()


# --- requests -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("datatype", "field", "dtype", "name"),
    [
        ("FP64", "fp64_contents", "<f8", "bmi"),
        ("FP32", "fp32_contents", "<f4", "bmi"),
        ("FP16", None, "<f2", "bmi"),
        ("INT64", "int64_contents", "<i8", "age"),
        ("INT32", "int_contents", "<i4", "age"),
        ("INT16", "int_contents", "<i2", "age"),
        ("INT8", "int_contents", "i1", "age"),
        ("UINT64", "uint64_contents", "<u8", "age"),
        ("UINT32", "uint_contents", "<u4", "age"),
        ("UINT16", "uint_contents", "<u2", "age"),
        ("UINT8", "uint_contents", "u1", "age"),
        ("UINT8", "uint_contents", "u1", "bmi"),
        ("BOOL", "bool_contents", "?", "ill"),
    ],
)
def test_every_datatype_is_read_typed_and_raw(
    datatype: str, field: str | None, dtype: str, name: str
) -> None:
    values = np.array([0, 1], dtype)
    assert column(read(raw(datatype, values.tobytes(), name=name)), name) == values.tolist()
    if field:
        request = read(typed(datatype, field, values.tolist(), name=name))
        assert column(request, name) == values.tolist()
        assert column(request, "age") == (values.tolist() if name == "age" else [50, 50])


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_a_scalar_field_may_come_with_or_without_a_dimension_of_its_own(shape: tuple[int, ...]) -> None:
    assert column(read(raw(shape=shape)), "bmi") == [0.1, 0.2]
    assert column(read(typed("FP64", "fp64_contents", [0.1, 0.2], shape=shape)), "bmi") == [0.1, 0.2]


def test_strings_are_read_typed_and_raw() -> None:
    words = ["Köln", ""]
    packed = b"".join(struct.pack("<I", len(word.encode())) + word.encode() for word in words)
    assert column(read(raw("BYTES", packed, name="city")), "city") == words
    encoded = [word.encode() for word in words]
    assert column(read(typed("BYTES", "bytes_contents", encoded, name="city")), "city") == words


def test_what_tritons_client_makes_is_read() -> None:
    values = np.arange(12, dtype="f4").reshape(2, 2, 3)
    made = InferInput("image", [2, 2, 3], "FP32").set_data_from_numpy(values)
    message = raw()
    message.inputs.append(
        ModelInferRequest.InferInputTensor.FromString(made._get_tensor().SerializeToString())
    )
    message.raw_input_contents.append(made._get_content())
    assert column(read(message), "image") == values.tolist()


@given(arrays("f8", st.integers(1, 5), elements=st.floats(allow_nan=False, allow_infinity=False)))
def test_typed_and_raw_mean_the_same(values: np.ndarray) -> None:
    shape = (len(values),)
    of_typed = read(typed("FP64", "fp64_contents", values.tolist(), shape=shape))
    of_raw = read(raw("FP64", values.astype("<f8").tobytes(), shape=shape))
    assert column(of_typed, "bmi") == column(of_raw, "bmi") == values.tolist()


def test_nan_is_a_missing_value_where_the_schema_has_them() -> None:
    nan = float("nan")
    assert np.isnan(column(read(typed("FP64", "fp64_contents", [nan, 1.0], name="dose")), "dose")[0])


def wrong_contents(message: Any) -> Any:
    message.inputs[0].contents.fp64_contents.append(1.0)
    return message


def two_raw(message: Any) -> Any:
    message.raw_input_contents.append(b"")
    return message


def twice(message: Any) -> Any:
    message.inputs.append(message.inputs[0])
    message.raw_input_contents.append(BMI)
    return message


def shared(message: Any) -> Any:
    message.inputs[0].parameters["shared_memory_region"].string_param = "r"
    return message


def no_text() -> Any:
    return typed("BYTES", "bytes_contents", [b"\xff", b""], name="city")


def output(message: Any, name: str, **parameters: int) -> Any:
    added = message.outputs.add(name=name)
    for key, value in parameters.items():
        added.parameters[key].int64_param = value
    return message


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (typed("FP64", "fp64_contents", [0.1]), "$.inputs[0].contents.fp64_contents"),
        (typed("FP64", "fp32_contents", [0.1, 0.2]), "$.inputs[0].contents.fp32_contents"),
        (typed("FP16", "fp32_contents", [0.1, 0.2]), "$.inputs[0].contents.fp32_contents"),
        (typed("FP16", "fp32_contents", []), "$.inputs[0].contents"),
        (typed("FP64", "fp64_contents", [0.1, float("nan")]), "$.inputs[0]"),
        (typed("INT8", "int_contents", [1, 300], name="age"), "$.inputs[0].contents.int_contents"),
        (typed("UINT16", "uint_contents", [1, 2**16], name="age"), "$.inputs[0].contents.uint_contents"),
        (typed("UINT64", "uint64_contents", [1, 2**63], name="age"), "$.inputs[0]"),
        (
            typed("BYTES", "bytes_contents", [b"\xff", b""], name="city"),
            "$.inputs[0].contents.bytes_contents",
        ),
        (typed("BYTES", "bytes_contents", [b"a", b"b"]), "$.inputs[0].datatype"),
        (typed("FP64", "fp64_contents", [1.0, 2.0], name="age"), "$.inputs[0].datatype"),
        (typed("FP64", "fp64_contents", [1.0, 2.0], name="bmj"), "$.inputs[0]"),
        (raw(data=BMI[:-1]), "$.raw_input_contents[0]"),
        (raw(data=BMI + BMI), "$.raw_input_contents[0]"),
        (raw("BYTES", b"\x05\x00\x00\x00abc", name="city"), "$.raw_input_contents[0]"),
        (raw(data=struct.pack("<2d", 0.1, float("inf"))), "$.inputs[0]"),
        (raw("FP8"), "$.inputs[0].datatype"),
        (raw(shape=()), "$.inputs[0].shape"),
        (raw(shape=(2, 0), data=b""), "$.inputs[0].shape"),
        (raw(shape=(-2,)), "$.inputs[0].shape"),
        (raw(shape=(2**40,)), "$.inputs[0].shape"),
        (raw(shape=[1] * 65), "$.inputs[0].shape"),
        (raw(shape=[2**31 - 1] * 8), "$.raw_input_contents[0]"),
        (raw(shape=(1, 2)), "$.inputs[0]"),
        (wrong_contents(raw()), "$.inputs[0].contents"),
        (two_raw(raw()), "$.raw_input_contents"),
        (twice(raw()), "$.inputs[1].name"),
        (shared(raw()), "$.inputs[0].parameters.shared_memory_region"),
        (output(raw(), "progressoin"), "$.outputs[0].name"),
        (output(raw(), "label", classification=3), "$.outputs[0].parameters.classification"),
        (ModelInferRequest(), "$.inputs"),
    ],
)
def test_what_is_wrong_is_said_with_its_path(message: Any, path: str) -> None:
    with pytest.raises(InvalidInput) as found:
        read(message)
    assert found.value.path == path
    assert found.value.expected


def test_a_missing_input_is_named() -> None:
    message = typed("INT64", "int64_contents", [1, 2], name="age")
    del message.inputs[1]
    with pytest.raises(InvalidInput, match="'bmi' is missing"):
        read(message)


# --- answers --------------------------------------------------------------------------------


def answer(**changes: Any) -> Answer:
    fields = {"model": "linear", "version": "9f2c1ab04d5e", "rule": "champion"} | changes
    return Answer(id="mine", columns=COLUMNS, rows=slice(0, 3), ms=1.25, **fields)


def test_a_raw_request_gets_a_raw_answer_which_tritons_client_reads() -> None:
    message = oip_grpc.write(read(raw()), answer(), "diabetes")
    result = InferResult(service_pb2.ModelInferResponse.FromString(message.SerializeToString()))

    assert result.as_numpy("progression").tolist() == COLUMNS["progression"]
    assert [text.decode() for text in result.as_numpy("label")] == COLUMNS["label"]
    assert result.as_numpy("scores").tolist() == COLUMNS["scores"]
    assert result.as_numpy("grade").tolist() == COLUMNS["grade"]
    assert result.as_numpy("high").tolist() == COLUMNS["high"]


def test_a_typed_request_gets_a_typed_answer() -> None:
    request = read(typed("FP64", "fp64_contents", [0.1, 0.2]))
    message = oip_grpc.write(request, answer(), "diabetes")

    assert not message.raw_output_contents
    found = {tensor.name: tensor for tensor in message.outputs}
    assert list(found["progression"].contents.fp64_contents) == COLUMNS["progression"]
    assert list(found["scores"].contents.fp64_contents) == [0.1, 0.9, 0.2, 0.8, 0.3, 0.7]
    assert list(found["scores"].shape) == [3, 2]
    assert [text.decode() for text in found["label"].contents.bytes_contents] == COLUMNS["label"]
    assert list(found["grade"].contents.int64_contents) == COLUMNS["grade"]
    assert list(found["high"].contents.bool_contents) == COLUMNS["high"]


def test_an_answer_says_whose_it_is_and_gives_only_what_was_asked_for() -> None:
    message = oip_grpc.write(read(output(raw(), "label")), answer(), "diabetes")

    assert (message.model_name, message.model_version) == ("diabetes", "linear@9f2c1ab04d5e")
    assert message.id == "mine"
    assert message.parameters["rule"].string_param == "champion"
    assert message.parameters["ms"].double_param == 1.25
    assert [tensor.name for tensor in message.outputs] == ["label"]


def test_a_default_answer_is_no_models() -> None:
    message = oip_grpc.write(read(raw()), answer(model="", version="", rule="default"), "diabetes")
    assert message.model_version == ""


def test_arrays_are_written_like_lists() -> None:
    columns = {name: np.array(values) for name, values in COLUMNS.items()}
    of_arrays = Answer("mine", columns, slice(0, 3), "linear", "9f2c1ab04d5e", "champion", 1.25)
    for message in (raw(), typed("FP64", "fp64_contents", [0.1, 0.2])):
        request = read(message)
        lists = oip_grpc.write(request, answer(), "diabetes")
        assert oip_grpc.write(request, of_arrays, "diabetes") == lists
