"""Lines against the vectors of `spec/`, which share no code with them, and against themselves."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.errors import ModelFailed
from podium.models.process.lines import Reader, answer_in, question
from podium.schema import DTYPES, Field, Kind, Schema

SPEC = Path(__file__).parents[4] / "spec"


def vectors(begin: str) -> list[Any]:
    files = sorted((SPEC / "vectors" / "process").glob(f"{begin}-*.json"))
    return [pytest.param(json.loads(file.read_text(encoding="utf-8")), id=file.stem) for file in files]


def test_the_vectors_are_those_that_the_script_writes(tmp_path: Path) -> None:
    runpy.run_path(str(SPEC / "process_lines.py"))["main"](tmp_path)
    written = {file.name: file.read_bytes() for file in (tmp_path / "process").iterdir()}
    assert written == {file.name: file.read_bytes() for file in (SPEC / "vectors" / "process").iterdir()}


def schema(outputs: dict[str, Any]) -> Schema:
    return Schema(
        tuple(Field(name=n, type=Kind(f["type"]), shape=tuple(f["shape"])) for n, f in outputs.items())
    )


def array(column: dict[str, Any]) -> np.ndarray:
    kind = Kind(column["type"])
    values = [int(value) for value in column["values"]] if kind is Kind.INT else column["values"]
    return np.array(values, dtype=DTYPES[kind]).reshape(column["shape"])


@pytest.mark.parametrize("vector", vectors("question"))
def test_a_question_is_written_as_the_vector_says(vector: dict[str, Any]) -> None:
    columns = {name: array(column) for name, column in vector["columns"].items()}
    written = question(vector["id"], columns)
    assert written.endswith(b"\n")
    assert written.count(b"\n") == 1
    assert json.loads(written) == json.loads(vector["question"])


@pytest.mark.parametrize("vector", vectors("answer"))
def test_an_answer_means_what_the_vector_says(vector: dict[str, Any]) -> None:
    answer = answer_in(vector["answer"].encode())
    reader = Reader(schema(vector["outputs"]))
    assert answer.id == vector["id"]
    if "error" in vector:
        with pytest.raises(ModelFailed, match=vector["error"]):
            reader.read(answer, 1)
        return
    expected = {name: array(column) for name, column in vector["columns"].items()}
    found = reader.read(answer, len(next(iter(expected.values()))))
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize("vector", vectors("refused"))
def test_what_is_no_answer_is_an_error_of_one_line(vector: dict[str, Any]) -> None:
    with pytest.raises(ModelFailed) as caught:
        Reader(schema(vector["outputs"])).read(answer_in(vector["answer"].encode()), vector["rows"])
    assert "\n" not in str(caught.value)


def test_a_line_that_is_not_utf8_says_so() -> None:
    with pytest.raises(ModelFailed, match="not UTF-8"):
        answer_in(b'{"id": 7, "error": "\xff"}')


def test_a_long_line_is_shown_by_its_beginning() -> None:
    with pytest.raises(ModelFailed) as caught:
        answer_in(b"x" * 100_000)
    assert len(str(caught.value)) < 300


def test_an_integer_beyond_64_bits_does_not_fit() -> None:
    answer = answer_in(b'{"id":1,"columns":{"n":[99999999999999999999999]}}')
    with pytest.raises(ModelFailed, match="'n'"):
        Reader(Schema((Field(name="n", type=Kind.INT),))).read(answer, 1)


@given(st.binary(max_size=200))
def test_whatever_comes_is_an_answer_or_an_error(line: bytes) -> None:
    with pytest.raises(ModelFailed):
        Reader(Schema((Field(name="y", type=Kind.FLOAT),))).read(answer_in(line), 1)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=False), min_size=1, max_size=20))
def test_numbers_come_back_as_they_were_sent(values: list[float]) -> None:
    sent = np.array(values)
    line = question(1, {"y": sent})
    assert b"NaN" not in line
    found = Reader(Schema((Field(name="y", type=Kind.FLOAT),))).read(answer_in(line), len(values))
    np.testing.assert_array_equal(found["y"], sent)
