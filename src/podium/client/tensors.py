"""Rows of numbers as binary tensors of the Open Inference Protocol, which the gateway need not parse.

Answers come as JSON: outputs are few, and decoding them is fast.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from podium.client.records import Answers

if TYPE_CHECKING:
    import numpy as np

HEADER = "inference-header-content-length"

_DATATYPES = {"f": ("FP64", "<f8"), "i": ("INT64", "<i8"), "u": ("UINT64", "<u8"), "b": ("BOOL", "?")}
"""By numpy's kind of number: the protocol's name, and numpy's for its bytes."""


def packed(columns: Mapping[str, np.ndarray]) -> tuple[int, bytes]:
    """A request's body, and how much of it is JSON."""
    inputs, chunks = [], []
    for name, values in columns.items():
        datatype, dtype = _DATATYPES[values.dtype.kind]
        chunks.append(values.astype(dtype).tobytes())
        size = {"binary_data_size": len(chunks[-1])}
        inputs.append({"name": name, "datatype": datatype, "shape": [len(values)], "parameters": size})
    head = json.dumps({"inputs": inputs}).encode()
    return len(head), b"".join([head, *chunks])


class _Tensor(msgspec.Struct):
    name: str
    shape: list[int]
    data: list[Any]


class _Parameters(msgspec.Struct):
    rule: str
    ms: float


class _Reply(msgspec.Struct):
    id: str
    parameters: _Parameters
    outputs: list[_Tensor]
    model_version: str = ""


def answers(body: bytes) -> Answers:
    """The answer to such a request, as to any other. Raises msgspec.MsgspecError for what is none."""
    reply = msgspec.json.decode(body, type=_Reply)
    model, _, version = reply.model_version.partition("@")
    names = [tensor.name for tensor in reply.outputs]
    columns = [_nested(tensor.data, tensor.shape[1:]) for tensor in reply.outputs]
    return Answers(
        id=reply.id,
        answer=[dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)],
        model=model or None,
        version=version or None,
        rule=reply.parameters.rule,
        ms=reply.parameters.ms,
    )


def _nested(flat: Sequence[Any], shape: Sequence[int]) -> Sequence[Any]:
    """The values, which are one after the other, as rows of this shape."""
    for size in reversed(shape):
        flat = [flat[start : start + size] for start in range(0, len(flat), size)]
    return flat
