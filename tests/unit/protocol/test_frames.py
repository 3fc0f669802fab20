"""Frames against the vectors of `spec/`, which share no code with them, and against themselves."""

from __future__ import annotations

import json
import math
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from podium.errors import BadInput
from podium.protocol.frames import (
    FoundFrame,
    InputFrame,
    KeptFrame,
    LookupFrame,
    ProbeFrame,
    Reader,
    Reference,
    ScoresFrame,
    Tensor,
    Work,
    array,
    encode,
    pack,
    row_slices,
    tensor,
    unpack,
)

VECTORS = Path(__file__).parents[3] / "spec" / "vectors"
ANY = Reader(KeptFrame | ProbeFrame | LookupFrame | FoundFrame)


def vectors(folder: str) -> list[Any]:
    paths = sorted((VECTORS / folder).glob("*.json"))
    assert len(paths) > 20
    return [pytest.param(json.loads(path.read_text("utf-8")), id=path.stem) for path in paths]


def test_the_vectors_are_those_that_the_generator_writes(tmp_path: Path) -> None:
    runpy.run_path(str(VECTORS.parent / "generate.py"))["main"](tmp_path)
    assert contents(tmp_path) == contents(VECTORS)


def contents(folder: Path) -> dict[str, str]:
    paths = (*folder.glob("valid/*.json"), *folder.glob("invalid/*.json"))
    return {str(path.relative_to(folder)): path.read_text("utf-8") for path in paths}


@pytest.mark.parametrize("vector", vectors("valid"))
def test_every_valid_vector_is_read_as_what_it_means(vector: dict[str, Any]) -> None:
    assert meaning(ANY.read(bytes.fromhex(vector["message"]))) == vector["means"]


@pytest.mark.parametrize("vector", [p for p in vectors("valid") if p.values[0]["canonical"]])
def test_what_a_canonical_vector_means_is_written_as_its_bytes(vector: dict[str, Any]) -> None:
    message = bytes.fromhex(vector["message"])
    frame = ANY.read(message)
    if columns := getattr(frame, "columns", None):
        large = {name: columns[name] for name in getattr(frame, "large", None) or ()}  # they have no values
        here = {name: packed for name, packed in columns.items() if name not in large}
        frame = msgspec.structs.replace(frame, columns=pack(unpack(here)) | large)
    assert shortest(encode(frame)) == message


@pytest.mark.parametrize(
    "vector", [p for p in vectors("valid") if p.id.startswith(("input", "tensor", "tol"))]
)
def test_a_worker_reads_the_same_input_as_everybody(vector: dict[str, Any]) -> None:
    message = bytes.fromhex(vector["message"])
    if vector["means"]["kind"] == "input":
        known = meaning(Reader(Work).read(message))
        assert known == {name: vector["means"][name] for name in known}


@pytest.mark.parametrize("vector", vectors("invalid"))
def test_every_invalid_vector_is_refused_by_whoever_reads_it(vector: dict[str, Any]) -> None:
    for kind in {"input": (InputFrame, Work), "kept": (KeptFrame,)}[vector["read_as"]]:
        with pytest.raises(BadInput):
            unpack(Reader(kind).read(bytes.fromhex(vector["message"])).columns)


@given(st.binary(max_size=200))
def test_whatever_arrives_is_a_frame_or_refused(payload: bytes) -> None:
    with pytest.raises(BadInput):
        ANY.read(payload)


def columns() -> st.SearchStrategy[dict[str, np.ndarray]]:
    shapes = arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)
    kinds = st.sampled_from(["<f8", ">f8", "<f4", "<i8", ">i4", "u1", "u4", "bool"])
    numbers = st.tuples(kinds, shapes).flatmap(lambda of: arrays.arrays(*of))
    texts = shapes.flatmap(lambda shape: arrays.arrays(object, shape, elements=st.text(max_size=5)))
    return st.dictionaries(st.text(max_size=8), numbers | texts, max_size=3)


@given(columns())
def test_columns_arrive_as_they_were_sent(sent: dict[str, np.ndarray]) -> None:
    frame = scores(pack(sent))
    received = unpack(Reader(ScoresFrame).read(encode(frame)).columns)
    assert received.keys() == sent.keys()
    for name, values in sent.items():
        assert received[name].shape == values.shape
        assert received[name].dtype.byteorder in "=|"
        np.testing.assert_array_equal(received[name], values)


def test_a_column_that_is_not_contiguous_is_sent_in_order() -> None:
    whole = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(array(tensor(whole[:, ::2])), whole[:, ::2])


@pytest.mark.parametrize(
    "values", [np.array([1 + 2j]), np.array(["2026-01-01"], "M8[D]"), np.array([None, "a"], object)]
)
def test_a_type_that_frames_do_not_carry_is_refused(values: np.ndarray) -> None:
    with pytest.raises(TypeError, match="a column of"):
        tensor(values)


def test_what_arrives_cannot_be_written_to() -> None:
    assert not array(tensor(np.ones(3))).flags.writeable


def test_requests_of_one_row_each_lie_one_after_the_other() -> None:
    assert row_slices(3, None) == [slice(0, 1), slice(1, 2), slice(2, 3)]


@given(st.lists(st.integers(1, 50), min_size=1))
def test_requests_fill_the_rows_without_gaps(rows: list[int]) -> None:
    slices = row_slices(len(rows), rows)
    assert [part.stop - part.start for part in slices] == rows
    assert [part.start for part in slices] == [0, *(part.stop for part in slices[:-1])]


def scores(packed: dict[str, Tensor]) -> ScoresFrame:
    return ScoresFrame(
        endpoint="diabetes",
        revision=3,
        source="worker-1",
        seq=1,
        origin="gateway-1",
        frame=1,
        model="linear",
        version="9f2c1ab04d5e",
        role="champion",
        ids=msgspec.Raw(msgspec.msgpack.encode(["a"])),
        done=0,
        queue_ms=0.25,
        compute_ms=0.5,
        columns=packed,
    )


def shortest(message: bytes) -> bytes:
    """The same message with the shortest heads: msgspec writes a long one for a map that could be large."""
    return msgspec.msgpack.encode(msgspec.msgpack.decode(message))


# --- a frame as a vector says it --------------------------------------------------------------


def meaning(frame: msgspec.Struct) -> dict[str, Any]:
    said = {"kind": frame.__struct_config__.tag}
    for name in frame.__struct_fields__:
        value = getattr(frame, name)
        if value is not None and name != "v":
            said[name] = _meaning(name, value)
    return said


def _meaning(name: str, value: Any) -> Any:
    match value:
        case msgspec.Raw():
            return msgspec.msgpack.decode(value)
        case bytes() if name == "digest":
            return value.hex()
        case bytes():
            return meaning(Reader(InputFrame).read(value))
        case Mapping():
            return {str(key): _meaning(name, each) for key, each in value.items()}
        case Reference():
            return [value.object, value.digest.hex(), value.size]
        case Tensor():
            # Of a large column there is no data: what it is without a reference, refused vectors say.
            values = [_plain(each) for each in array(value).ravel().tolist()] if value.data else []
            return {"dtype": value.dtype, "shape": list(value.shape), "values": values}
    return value


def _plain(value: Any) -> Any:
    match value:
        case bool() | str():
            return value
        case int():
            return str(value)
    return value if math.isfinite(value) else "NaN"
