"""The Open Inference Protocol v2 over REST: a tensor for each input, or all of them side by side in one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from podium.errors import ModelFailed, PackageError
from podium.models.server.base import Door
from podium.models.server.http import Reply, Request
from podium.models.server.replies import json_of
from podium.models.values import ITEMS, array_of, conform
from podium.schema import TENSOR_NAME, Columns, Field, Kind, Schema
from podium.servers import Server

_DATATYPES = {Kind.FLOAT: "FP64", Kind.INT: "INT64", Kind.BOOL: "BOOL", Kind.STRING: "BYTES"}


class _Tensor(msgspec.Struct):
    name: str
    shape: list[int]
    data: list[Any]


class _Inferred(msgspec.Struct):
    outputs: list[_Tensor]


class _Described(msgspec.Struct):
    name: str
    datatype: str


class _Metadata(msgspec.Struct):
    inputs: list[_Described] = []


class OpenInference(Door):
    """`url` is that of the model, or of one of its versions."""

    def __init__(self, server: Server, inputs: Schema, outputs: Schema) -> None:
        super().__init__(server, inputs, outputs)
        if server.layout == "matrix" and not all(_fits_matrix(field) for field in inputs.fields):
            raise PackageError(
                f"the layout `matrix` holds single numbers side by side, the inputs are {inputs}"
            )
        self.metadata = self._path
        self._matrix = TENSOR_NAME
        self._datatypes: dict[str, str] = {}

    def learn(self, said: Any) -> None:
        """Some servers take a tensor only under its own name and in its own precision."""
        try:
            inputs = msgspec.convert(said, _Metadata).inputs
        except msgspec.ValidationError:
            return
        self._datatypes = {each.name: each.datatype for each in inputs}
        if self._server.layout == "matrix" and len(inputs) == 1:
            self._matrix = inputs[0].name

    def _usual_health(self) -> str:
        return self._route("/ready")

    def questions(self, columns: Columns) -> list[Request]:
        names = self._inputs.names
        if self._server.layout == "matrix":
            side_by_side = np.column_stack([columns[name].astype(np.float64) for name in names])
            tensors = [self._tensor(self._matrix, Kind.FLOAT, side_by_side)]
        else:
            tensors = [self._tensor(f.name, f.type, columns[f.name]) for f in self._inputs.fields]
        return self._posted("/infer", {"inputs": tensors})

    def _tensor(self, name: str, kind: Kind, values: np.ndarray) -> dict[str, Any]:
        return {
            "name": name,
            "shape": list(values.shape),
            "datatype": self._datatypes.get(name, _DATATYPES[kind]),
            "data": values.ravel().tolist(),
        }

    def answers(self, replies: Sequence[Reply], rows: int) -> dict[str, np.ndarray]:
        try:
            given = msgspec.convert(json_of(replies[0]), _Inferred).outputs
        except msgspec.ValidationError as error:
            raise ModelFailed(f"its answer is not of the Open Inference Protocol: {error}") from None
        return {
            field.name: _of_tensor(field, self._found(field, given), rows) for field in self._outputs.fields
        }

    def _found(self, field: Field, given: Sequence[_Tensor]) -> _Tensor:
        """The output of that name; where there is just one, its name does not matter."""
        if len(given) == len(self._outputs.fields) == 1:
            return given[0]
        for tensor in given:
            if tensor.name == field.name:
                return tensor
        raise ModelFailed(f"it answered the outputs {[t.name for t in given]}, expected {field.name!r}")


def _fits_matrix(field: Field) -> bool:
    return not field.shape and field.type is not Kind.STRING


def _typed(field: Field, values: list[Any]) -> list[Any]:
    one: Any = ITEMS[field.type]
    found: list[Any] = msgspec.convert(values, list[one])
    return found


def _of_tensor(field: Field, tensor: _Tensor, rows: int) -> np.ndarray:
    flat = tensor.data
    while flat and all(isinstance(part, list) for part in flat):
        flat = list(chain.from_iterable(flat))
    try:
        values = array_of(field, _typed(field, flat)).reshape(tensor.shape)
    except msgspec.ValidationError as error:
        raise ModelFailed(f"output {field.name!r}: {error}; expected values of {field}") from None
    except ValueError:
        raise ModelFailed(
            f"output {field.name!r} has {len(flat)} values, which do not fill its shape {tensor.shape}"
        ) from None
    return conform(field, values, rows)
