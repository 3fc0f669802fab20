"""The Open Inference Protocol v2 over REST: bodies to checked rows, answers to bodies.

Translation only. KServe's, Triton's and MLServer's clients work with it as they are
(decision 0006).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from podium.errors import BadInput, InvalidInput, TooLarge, UnknownEncoding
from podium.protocol.oip_requests import HEADER, RequestReader, TensorParameters, WireOutput
from podium.protocol.oip_tensors import (
    DATATYPES,
    OF_KIND,
    fitting,
    shape_of,
    to_binary,
    to_json,
)
from podium.records import Answer
from podium.schema import Field, Schema
from podium.validation import Rows, Validator

Headers = list[tuple[str, str]]
EXTENSIONS = ("binary_tensor_data", "model_repository")

_encode = msgspec.json.Encoder().encode
_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_RAW_DEFLATE = -15


@dataclass(frozen=True, slots=True)
class WantedOutput:
    """One output of the answer, as JSON or as bytes."""

    field: Field
    binary: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class InferRequest:
    """A checked request; `id` is the caller's, or empty."""

    id: str
    rows: Rows
    outputs: tuple[WantedOutput, ...]


class ReplyTensor(msgspec.Struct):
    """An output on the wire."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, int] | UnsetType = UNSET
    data: list[Any] | UnsetType = UNSET


class InferReply(msgspec.Struct):
    """The JSON of an answer; a default answer is no model's, so it has no version."""

    model_name: str
    id: str
    parameters: dict[str, str | float]
    outputs: list[ReplyTensor]
    model_version: str | UnsetType = UNSET


class TensorMetadata(msgspec.Struct):
    """An input or output; -1 is an open dimension, the first one is the rows."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(msgspec.Struct):
    """An endpoint, which the protocol calls a model; its versions are the contenders."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ModelIndex(msgspec.Struct):
    """A contender as Triton's model repository extension lists models."""

    name: str
    version: str
    state: str
    reason: str


class ServerMetadata(msgspec.Struct):
    """Who answers."""

    name: str
    version: str
    extensions: tuple[str, ...]


class Contract:
    """One endpoint in the protocol's terms."""

    def __init__(self, endpoint: str, inputs: Schema, outputs: Schema) -> None:
        self.endpoint = endpoint
        self._inputs = inputs
        self._outputs = outputs
        # Rows are one dimension more than a field has; a scalar may come as [n, 1].
        self._reader = RequestReader(depth=max((len(field.shape) for field in inputs.fields), default=0) + 2)

    # --- requests ---------------------------------------------------------------------------

    def read(self, body: bytes, header_length: str | None, validator: Validator) -> InferRequest:
        """Check the body of an infer request.

        `header_length` is the header `Inference-Header-Content-Length`, as it came. Raises NotJSON,
        InvalidInput.
        """
        wire, arrays = self._reader.read(body, header_length)
        datatypes = [str(tensor.__struct_config__.tag) for tensor in wire.inputs]
        binary = wire.parameters is not None and wire.parameters.binary_data_output
        return InferRequest(
            id=wire.id,
            rows=self.rows(arrays, datatypes, validator),
            outputs=self.wanted(wire.outputs or (), binary=binary),
        )

    def rows(self, arrays: Mapping[str, np.ndarray], datatypes: Sequence[str], validator: Validator) -> Rows:
        """Check a request's inputs, in its order, each of one of the protocol's datatypes.

        Raises InvalidInput.
        """
        for index, (name, datatype) in enumerate(zip(arrays, datatypes, strict=True)):
            if name in self._inputs:  # of any other the validator says so, with the nearest name
                _check_datatype(self._inputs[name], datatype, f"$.inputs[{index}].datatype")
        try:
            return validator.arrays(arrays)
        except InvalidInput as error:
            raise _located(error, list(arrays)) from None

    def wanted(self, outputs: Sequence[WireOutput], *, binary: bool) -> tuple[WantedOutput, ...]:
        """The outputs that a request asks for; all of them where it names none. Raises InvalidInput."""
        if not outputs:
            return tuple(WantedOutput(field, binary) for field in self._outputs.fields)
        wanted = []
        for index, output in enumerate(outputs):
            path = f"$.outputs[{index}]"
            if output.name not in self._outputs:
                nearest = self._outputs.nearest(output.name)
                raise InvalidInput(
                    f"{output.name!r} is not an output{nearest}",
                    path=f"{path}.name",
                    expected=" or ".join(self._outputs.names),
                )
            parameters = output.parameters or TensorParameters()
            _check_output(parameters, path)
            own = binary if parameters.binary_data is None else parameters.binary_data
            wanted.append(WantedOutput(self._outputs[output.name], own))
        return tuple(wanted)

    # --- answers ----------------------------------------------------------------------------

    def write(self, request: InferRequest, answer: Answer) -> tuple[Headers, bytes]:
        """The headers (content type included) and body of an answer."""
        tensors = []
        chunks = []
        for wanted in request.outputs:
            values = answer.columns[wanted.field.name][answer.rows]
            tensor = ReplyTensor(wanted.field.name, OF_KIND[wanted.field.type], shape_of(values))
            if wanted.binary:
                chunks.append(to_binary(wanted.field, values))
                tensor.parameters = {"binary_data_size": len(chunks[-1])}
            else:
                tensor.data = to_json(values)
            tensors.append(tensor)
        head = _encode(self._reply(answer, tensors))
        if not any(wanted.binary for wanted in request.outputs):
            return [("content-type", "application/json")], head
        headers = [("content-type", "application/octet-stream"), (HEADER, str(len(head)))]
        return headers, b"".join([head, *chunks])

    def _reply(self, answer: Answer, tensors: list[ReplyTensor]) -> InferReply:
        return InferReply(
            model_name=self.endpoint,
            model_version=version_of(answer) or UNSET,
            id=answer.id,
            parameters={"rule": answer.rule, "ms": answer.ms},
            outputs=tensors,
        )

    # --- metadata ---------------------------------------------------------------------------

    def model_metadata(self, versions: Sequence[str]) -> bytes:
        """`GET /v2/models/{endpoint}`; versions are the contenders' names."""
        return _encode(self.described(versions))

    def described(self, versions: Sequence[str]) -> ModelMetadata:
        """The same, as a record."""
        return ModelMetadata(
            name=self.endpoint,
            versions=list(versions),
            platform="podium",
            inputs=[_described(field) for field in self._inputs.fields],
            outputs=[_described(field) for field in self._outputs.fields],
        )

    def model_ready(self) -> bytes:
        """`GET /v2/models/{endpoint}/ready`, when it is."""
        return _encode({"name": self.endpoint, "ready": True})

    def repository_index(self, versions: Sequence[str]) -> bytes:
        """`POST /v2/repository/index`: Triton's model repository extension."""
        return _encode(self.index(versions))

    def index(self, versions: Sequence[str]) -> list[ModelIndex]:
        """The same, as records."""
        return [
            ModelIndex(name=self.endpoint, version=version, state="READY", reason="") for version in versions
        ]


def version_of(answer: Answer) -> str:
    """Whose answer it is, as the protocol's version; empty for a default answer, which is nobody's."""
    return f"{answer.model}@{answer.version}" if answer.model else ""


def server_metadata() -> bytes:
    """`GET /v2`."""
    return _encode(described_server())


def described_server() -> ServerMetadata:
    """The same, as a record."""
    return ServerMetadata(name="podium", version=version("podium"), extensions=EXTENSIONS)


def server_live() -> bytes:
    """`GET /v2/health/live`."""
    return _encode({"live": True})


def server_ready() -> bytes:
    """`GET /v2/health/ready`, when it is."""
    return _encode({"ready": True})


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo a `Content-Encoding`, never making more than `limit` bytes of it.

    Raises UnknownEncoding, TooLarge, and BadInput for what is cut off or no such data.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name not in _WINDOWS:
        raise UnknownEncoding(f"content-encoding {encoding!r} is not known; gzip and deflate are")
    window = _WINDOWS[name]
    if name == "deflate" and not _is_zlib(body):
        window = _RAW_DEFLATE  # what some clients have always called deflate
    stream = zlib.decompressobj(window)
    try:
        inflated = stream.decompress(body, limit + 1)
    except zlib.error as error:
        raise BadInput(f"the body is not {name}: {error}") from None
    if len(inflated) > limit:
        raise TooLarge(f"the body is over the limit of {limit} bytes when decompressed")
    if not stream.eof or stream.unused_data:
        raise BadInput(f"the body is not one whole {name} stream")
    return inflated


def _is_zlib(body: bytes) -> bool:
    return len(body) > 1 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0


def _check_datatype(field: Field, datatype: str, path: str) -> None:
    if field.type not in DATATYPES[datatype].fits:
        raise InvalidInput(
            f"{field.name!r} is {datatype}, the field is {field}", path=path, expected=fitting(field)
        )


def _check_output(parameters: TensorParameters, path: str) -> None:
    for name in ("shared_memory_region", "classification"):
        if getattr(parameters, name) is not None:
            raise InvalidInput(
                f"{name} is not supported", path=f"{path}.parameters.{name}", expected="no such parameter"
            )


def _located(error: InvalidInput, names: Sequence[str]) -> InvalidInput:
    """The validator's error, whose path `$.bmi` becomes that input's in the request."""
    name = error.path.removeprefix("$.")
    path = f"$.inputs[{names.index(name)}]" if name in names else "$.inputs"
    return InvalidInput(str(error), path=path, expected=error.expected)


def _described(field: Field) -> TensorMetadata:
    return TensorMetadata(name=field.name, datatype=OF_KIND[field.type], shape=[-1, *field.shape])
