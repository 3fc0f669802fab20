"""The Open Inference Protocol v2 over gRPC: messages to checked rows, answers to messages.

Translation only; what a request means, and what is wrong with one, `podium.protocol.oip` says, as for REST.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from podium.errors import InvalidInput
from podium.protocol import oip
from podium.protocol.inference import (
    ModelInferResponse,
    ModelMetadataResponse,
    RepositoryIndexResponse,
    ServerMetadataResponse,
)
from podium.protocol.oip_requests import TensorParameters, WireOutput, given_twice
from podium.protocol.oip_tensors import (
    DATATYPES,
    OF_KIND,
    Datatype,
    Values,
    element_count,
    from_binary,
    misshapen,
    not_utf8,
    shape_of,
    to_binary,
    to_json,
)
from podium.records import Answer
from podium.schema import Field, Kind
from podium.validation import Validator

MAX_SIZE = 2**31 - 1
MAX_DIMENSIONS = 64

_CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Where InferTensorContents has the values of a datatype; FP16 has no place and comes raw."""


# --- requests -------------------------------------------------------------------------------


def read(message: Any, contract: oip.Contract, validator: Validator) -> oip.InferRequest:
    """Check a ModelInferRequest. Its answer is raw (`binary`) if its inputs are. Raises InvalidInput."""
    raw = message.raw_input_contents
    inputs = message.inputs
    if raw and len(raw) != len(inputs):
        raise InvalidInput(
            f"{len(raw)} raw contents for {len(inputs)} inputs",
            path="$.raw_input_contents",
            expected="one for each input, or none at all",
        )
    arrays: dict[str, np.ndarray] = {}
    datatypes = []
    for index, tensor in enumerate(inputs):
        if tensor.name in arrays:
            raise given_twice(tensor.name, index)
        arrays[tensor.name] = _array(tensor, raw[index] if raw else None, index)
        datatypes.append(tensor.datatype)
    wanted = [WireOutput(output.name, _parameters(output.parameters)) for output in message.outputs]
    return oip.InferRequest(
        id=message.id,
        rows=contract.rows(arrays, datatypes, validator),
        outputs=contract.wanted(wanted, binary=bool(raw)),
    )


def _array(tensor: Any, raw: bytes | None, index: int) -> np.ndarray:
    path = f"$.inputs[{index}]"
    datatype = DATATYPES.get(tensor.datatype)
    if datatype is None:
        raise InvalidInput(
            f"{tensor.datatype!r} is not a datatype", path=f"{path}.datatype", expected=" or ".join(DATATYPES)
        )
    if "shared_memory_region" in tensor.parameters:
        raise InvalidInput(
            "shared memory is not supported",
            path=f"{path}.parameters.shared_memory_region",
            expected="contents or raw_input_contents",
        )
    shape = _shape(tensor.shape, path)
    if raw is None:
        return _typed(datatype, tensor.contents, shape, path)
    if tensor.HasField("contents"):
        raise InvalidInput(
            "an input has either contents or raw_input_contents",
            path=f"{path}.contents",
            expected="one of the two",
        )
    try:
        return from_binary(datatype, memoryview(raw), shape, path)
    except InvalidInput as error:
        raise _located(error, f"$.raw_input_contents[{index}]") from None


def _shape(sizes: Sequence[int], path: str) -> list[int]:
    shape = list(sizes)
    if len(shape) > MAX_DIMENSIONS or not all(0 <= size <= MAX_SIZE for size in shape):
        raise InvalidInput(
            f"shape {shape[:MAX_DIMENSIONS]} cannot be",
            path=f"{path}.shape",
            expected=f"at most {MAX_DIMENSIONS} sizes from 0 to {MAX_SIZE}",
        )
    return shape


def _typed(datatype: Datatype, contents: Any, shape: list[int], path: str) -> np.ndarray:
    """The values in the field of InferTensorContents that is the datatype's."""
    name = _CONTENTS.get(datatype.name, "")
    for field, _ in contents.ListFields():
        if field.name != name:
            raise InvalidInput(
                f"the data of {datatype.name} are in {field.name}",
                path=f"{path}.contents.{field.name}",
                expected=name or "raw_input_contents",
            )
    try:
        count = element_count(shape, path)
        values = getattr(contents, name) if name else ()
        if len(values) != count:
            raise misshapen(f"{len(values)} values", shape, path)
        return _packed(datatype, values, path).reshape(shape)
    except InvalidInput as error:
        raise _located(error, f"{path}.contents.{name}" if name else f"{path}.contents") from None


def _packed(datatype: Datatype, values: Any, path: str) -> np.ndarray:
    if datatype.name == "BYTES":
        try:
            return np.array([str(value, "utf-8") for value in values], object)
        except UnicodeDecodeError:
            raise not_utf8(path) from None
    array = np.fromiter(values, datatype.read_as, len(values))
    if datatype.dtype.kind in "iu" and datatype.dtype.itemsize < 4:  # these share a field with wider ones
        limits = np.iinfo(datatype.dtype)
        if array.min() < limits.min or array.max() > limits.max:
            expected = f"{datatype.name} values, {limits.min} to {limits.max}"
            raise InvalidInput(
                f"the data are not {datatype.name} throughout", path=f"{path}.data", expected=expected
            )
    return array


def _located(error: InvalidInput, data: str) -> InvalidInput:
    """An error with an input's data, which are elsewhere in a message than in JSON."""
    path = data if error.path.endswith(".data") else error.path
    return InvalidInput(str(error), path=path, expected=error.expected)


def _parameters(given: Mapping[str, Any]) -> TensorParameters:
    """Those that would change an output's meaning; whether it is binary is the whole message's here."""
    return TensorParameters(
        shared_memory_region=given["shared_memory_region"].string_param
        if "shared_memory_region" in given
        else None,
        classification=given["classification"].int64_param if "classification" in given else None,
    )


# --- answers --------------------------------------------------------------------------------


def write(request: oip.InferRequest, answer: Answer, endpoint: str) -> Any:
    """The ModelInferResponse of an answer."""
    message = ModelInferResponse(model_name=endpoint, model_version=oip.version_of(answer), id=answer.id)
    message.parameters["rule"].string_param = answer.rule
    message.parameters["ms"].double_param = answer.ms
    for wanted in request.outputs:
        field = wanted.field
        values = answer.columns[field.name][answer.rows]
        datatype = OF_KIND[field.type]
        tensor = message.outputs.add(name=field.name, datatype=datatype, shape=shape_of(values))
        if wanted.binary:
            message.raw_output_contents.append(to_binary(field, values))
        else:
            getattr(tensor.contents, _CONTENTS[datatype]).extend(_elements(field, values))
    return message


def _elements(field: Field, values: Values) -> list[Any]:
    flat = to_json(values)
    return [text.encode() for text in flat] if field.type is Kind.STRING else flat


# --- metadata -------------------------------------------------------------------------------


def model_metadata(metadata: oip.ModelMetadata) -> Any:
    return ModelMetadataResponse(**msgspec.to_builtins(metadata))


def server_metadata(metadata: oip.ServerMetadata) -> Any:
    return ServerMetadataResponse(**msgspec.to_builtins(metadata))


def repository_index(models: Sequence[oip.ModelIndex]) -> Any:
    return RepositoryIndexResponse(models=msgspec.to_builtins(models))
