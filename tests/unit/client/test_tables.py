"""DataFrames of pandas and polars: what is sent of them, and what comes back."""

from __future__ import annotations

import json
import math
import socket
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from tests.unit.client.faulty import Seen, Turn, answer, gateway, reply

import podium
from podium.client.tables import opened
from podium.errors import InvalidInput

INDEX = ["a", "b", "c", "d", "e"]
frames = pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
Frame = Callable[[Any], Any]


def inferring(connection: socket.socket, seen: Seen) -> None:
    """Answer tensors: `y` is `x` doubled, `z` has two values for each row."""
    head = int(seen.headers["inference-header-content-length"])
    (tensor,) = json.loads(seen.body[:head])["inputs"]
    (count,) = tensor["shape"]
    assert tensor["datatype"] == "FP64"
    assert tensor["parameters"]["binary_data_size"] == len(seen.body) - head == 8 * count
    values = struct.unpack(f"<{count}d", seen.body[head:])
    outputs = [
        {"name": "y", "shape": [count], "datatype": "FP64", "data": [2 * value for value in values]},
        {"name": "z", "shape": [count, 2], "datatype": "FP64", "data": [v for v in values for _ in "ab"]},
    ]
    model = {"model_version": "linear@9f2c1ab04d5e"} if count > 1 else {}  # a default answer has none
    document = {"id": seen.id, "parameters": {"rule": "champion", "ms": 1.0}, "outputs": outputs}
    reply(200, document | model)(connection, seen)


def scored(table: Any, turn: Turn, **options: Any) -> tuple[Any, list[Seen]]:
    with gateway(turn) as server, podium.Client(server.url, "diabetes") as client:
        return client.score_table(table, **options), server.seen


@frames
def test_numbers_go_as_binary_tensors(frame: Frame) -> None:
    found, seen = scored(frame({"x": [1.0, 2.0, 3.0, 4.0, 5.0]}), inferring, batch=2, at_once=2)
    assert {each.path for each in seen} == {"/v2/models/diabetes/infer"}
    assert type(found) is frame
    columns = {name: list(found[name]) for name in found.columns}
    assert columns.pop("y") == [2.0, 4.0, 6.0, 8.0, 10.0]
    assert [list(row) for row in columns.pop("z")] == [[x, x] for x in (1.0, 2.0, 3.0, 4.0, 5.0)]
    ids = columns.pop("podium_id")
    assert ids[0] == ids[1] != ids[2] == ids[3] != ids[4]
    assert set(ids) == {each.id for each in seen}
    for name, value in {"podium_model": "linear", "podium_version": "9f2c1ab04d5e"}.items():
        *first, last = columns.pop(name)
        assert first == [value] * 4
        assert pd.isna(last)
    assert columns == {"podium_row": [0, 1, 0, 1, 0], "podium_rule": ["champion"] * 5}


@frames
def test_anything_else_goes_as_rows(frame: Frame) -> None:
    found, seen = scored(frame({"x": [1.5, 2.5], "name": ["a", None]}), answer)
    assert json.loads(seen[0].body) == [{"x": 1.5, "name": "a"}, {"x": 2.5, "name": None}]
    assert list(found["y"]) == [3.0, 5.0]


async def test_the_other_client_does_the_same() -> None:
    with gateway(inferring) as server:
        async with podium.AsyncClient(server.url, "diabetes") as client:
            found = await client.score_table(pl.DataFrame({"x": [1.0, 2.0, 3.0]}), batch=2)
    assert found["y"].to_list() == [2.0, 4.0, 6.0]


def test_a_pandas_index_stays() -> None:
    table = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0, 5.0]}, index=INDEX)
    found, _ = scored(table, inferring, batch=2)
    assert list(found.index) == INDEX
    assert table.join(found).loc["c", "y"] == 6.0


@frames
def test_no_rows_ask_for_nothing(frame: Frame) -> None:
    found, seen = scored(frame({"x": []}), answer)
    assert len(found) == 0
    assert next(iter(found.columns)) == "podium_id"
    assert not seen


TABLES: dict[str, tuple[Any, Any]] = {
    "missing numbers of pandas": (pd.DataFrame({"x": pd.array([1, None], "Int64")}), [1, None]),
    "missing texts of pandas": (pd.DataFrame({"x": ["a", None]}), ["a", None]),
    "NaN among texts": (pd.DataFrame({"x": [1.5, math.nan], "t": "a"}), [1.5, None]),
    "missing numbers of polars": (pl.DataFrame({"x": [1, None]}), [1, None]),
    "lists of polars": (pl.DataFrame({"x": [[1.0, 2.0], [3.0, 4.0]]}), [[1.0, 2.0], [3.0, 4.0]]),
    "arrays in pandas": (pd.DataFrame({"x": [np.array([1.0]), np.array([2.0])]}), [[1.0], [2.0]]),
    "scalars of numpy": (pd.DataFrame({"x": [np.float32(1.5), "a"]}), [1.5, "a"]),
}


@pytest.mark.parametrize(("table", "values"), TABLES.values(), ids=TABLES)
def test_values_are_what_they_mean_in_json(table: Any, values: list[Any]) -> None:
    (part,) = opened(table).batches(10)
    assert isinstance(part, list)
    assert json.loads(podium.client.calls._json([row["x"] for row in part])) == values


@pytest.mark.parametrize(
    ("values", "datatype"),
    [([1, 2], "INT64"), ([True, False], "BOOL"), ([1.5, math.nan], "FP64")],
)
@frames
def test_each_kind_of_number_has_its_datatype(frame: Frame, values: list[Any], datatype: str) -> None:
    (part,) = opened(frame({"x": values})).batches(10)
    assert isinstance(part, dict)
    head, body = podium.client.tensors.packed(part)
    assert json.loads(body[:head])["inputs"][0]["datatype"] == datatype


@pytest.mark.parametrize("table", [[{"x": 1}], pd.Series([1.0]), pl.LazyFrame({"x": [1]}), None])
def test_what_is_no_dataframe_is_refused(table: Any) -> None:
    with pytest.raises(TypeError, match="expected a DataFrame of pandas or polars, not"):
        opened(table)


def test_a_column_that_is_there_twice_is_refused() -> None:
    with pytest.raises(InvalidInput, match="two columns are 'x'"):
        opened(pd.DataFrame([[1, 2]], columns=["x", "x"]))


def test_a_decimal_is_refused_before_it_is_sent() -> None:
    with pytest.raises(InvalidInput, match="Decimal"):
        scored(pl.DataFrame({"x": [Decimal("1.5")]}), answer)
