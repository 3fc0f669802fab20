"""Bodies of Open Inference Protocol requests, as they are on the wire."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from podium.errors import InvalidInput, NotJSON
from podium.protocol.oip_tensors import DATATYPES, from_binary, from_json

HEADER = "inference-header-content-length"
"""Where binary tensors follow, the length of the JSON before them."""

_SHAPE = Annotated[list[Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]], msgspec.Meta(max_length=64)]


class TensorParameters(msgspec.Struct):
    """Those parameters of an input or output that change what it means; others are passed over."""

    binary_data_size: Annotated[int, msgspec.Meta(ge=0)] | None = None
    binary_data: bool | None = None
    shared_memory_region: str | None = None
    classification: int | None = None


class WireInput(msgspec.Struct, tag_field="datatype", gc=False):
    """An input tensor; a subclass for each datatype knows what its data is.

    So one typed pass over the JSON checks every value, wherever the datatype stands in it.
    """

    name: str
    shape: _SHAPE
    parameters: TensorParameters | None = None
    data: list[Any] | UnsetType = UNSET


class WireOutput(msgspec.Struct):
    """An output that the client asks for."""

    name: str
    parameters: TensorParameters | None = None


class RequestParameters(msgspec.Struct):
    """As for tensors: what changes the meaning of a request."""

    binary_data_output: bool = False


class WireRequest(msgspec.Struct):
    """The JSON of an inference request."""

    inputs: list[WireInput]
    id: str = ""
    outputs: list[WireOutput] | None = None
    parameters: RequestParameters | None = None


class RequestReader:
    """Reads bodies whose data is nested at most `depth` deep; built once for each endpoint."""

    def __init__(self, depth: int) -> None:
        inputs: Any = _input_types(depth)
        self._type: Any = msgspec.defstruct(
            "InferenceRequest",
            [("inputs", list[inputs])],
            bases=(WireRequest,),
        )
        self._decoder: msgspec.json.Decoder[WireRequest] = msgspec.json.Decoder(self._type)

    def read(self, body: bytes, header: str | None) -> tuple[WireRequest, dict[str, np.ndarray]]:
        """The request and its inputs as arrays, in the order of the request.

        `header` is the HTTP header of that name. Raises NotJSON, or InvalidInput with a path.
        """
        view = memoryview(body)
        length = _header_length(header, len(body))
        request = self._decode(view[:length])
        arrays = {}
        for index, tensor in enumerate(request.inputs):
            if tensor.name in arrays:
                raise given_twice(tensor.name, index)
            arrays[tensor.name], length = _array(tensor, view, length, f"$.inputs[{index}]")
        if length != len(body):
            raise InvalidInput(
                f"{len(body) - length} bytes follow that belong to no input",
                path="$.inputs",
                expected="a binary_data_size for all bytes after the JSON",
            )
        return request, arrays

    def _decode(self, body: memoryview) -> WireRequest:
        try:
            return self._decoder.decode(body)
        except msgspec.ValidationError as error:
            raise explain(error) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return self._lenient(bytes(body), error)

    def _lenient(self, body: bytes, error: Exception) -> WireRequest:
        """Tell `NaN`, which some clients write, from what is not JSON."""
        try:
            found: WireRequest = msgspec.convert(json.loads(body), self._type)
            return found
        except msgspec.ValidationError as problem:
            raise explain(problem) from None
        except (ValueError, RecursionError):
            raise NotJSON(f"the body is not JSON: {error}", expected="an inference request") from None


def _input_types(depth: int) -> Any:
    types: Any = None
    for datatype in DATATYPES.values():
        name = f"{datatype.name.capitalize()}Input"
        data = ("data", _nested(datatype.element, depth) | UnsetType, UNSET)
        kind: Any = msgspec.defstruct(name, [data], bases=(WireInput,), tag=datatype.name, gc=False)
        types = kind if types is None else types | kind
    return types


def _nested(element: Any, depth: int) -> Any:
    hint: Any = list[element]
    for _ in range(depth - 1):
        hint = list[element | hint]
    return hint


def _header_length(header: str | None, size: int) -> int:
    if header is None:
        return size
    if not re.fullmatch("[0-9]{1,18}", header) or int(header) > size:
        raise InvalidInput(
            f"{HEADER} is {header!r}",
            path=f"header {HEADER}",
            expected=f"the length of the JSON, at most the body's {size} bytes",
        )
    return int(header)


def _array(tensor: WireInput, body: memoryview, start: int, path: str) -> tuple[np.ndarray, int]:
    """An input's values, and where those of the next one start in the body."""
    datatype = DATATYPES[str(tensor.__struct_config__.tag)]
    parameters = tensor.parameters or TensorParameters()
    size = parameters.binary_data_size
    if parameters.shared_memory_region is not None:
        raise InvalidInput(
            "shared memory is not supported",
            path=f"{path}.parameters.shared_memory_region",
            expected="data, or parameters.binary_data_size",
        )
    if (size is None) == (tensor.data is UNSET):
        raise InvalidInput(
            "an input has either data or parameters.binary_data_size",
            path=f"{path}.data",
            expected="one of the two",
        )
    if size is None:
        return from_json(datatype, tensor.data, tensor.shape, path), start  # type: ignore[arg-type]  # set
    if start + size > len(body):
        raise InvalidInput(
            f"{len(body) - start} bytes are left after the JSON",
            path=f"{path}.parameters.binary_data_size",
            expected=f"{size} bytes, and the header {HEADER}",
        )
    return from_binary(datatype, body[start : start + size], tensor.shape, path), start + size


def given_twice(name: str, index: int) -> InvalidInput:
    """The error where the input at this index has the name of an earlier one."""
    return InvalidInput(f"{name!r} is given twice", path=f"$.inputs[{index}].name", expected="once")


def explain(error: msgspec.ValidationError) -> InvalidInput:
    """msgspec's message, with its path apart."""
    message, _, at = str(error).partition(" - at `")
    path = at.rstrip("`") or "$"
    wanted = re.match(r"Expected `(.*?)`", message)
    expected = wanted[1] if wanted else "an inference request of the Open Inference Protocol v2"
    if path.endswith(".datatype"):
        expected = " or ".join(DATATYPES)
    return InvalidInput(f"{message} at {path}", path=path, expected=expected)
