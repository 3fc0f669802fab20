"""What was archived comes back as the arrays that it was."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podium.archive import arrays, sql
from podium.archive.arrays import Values, equal, stacked, taken
from podium.archive.entries import Entry
from podium.archive.layouts import Requests
from podium.models.manifest import Tolerance
from podium.schema import Field, Kind, Schema

from .traffic import Process

EXACT = Tolerance(relative=0.0, absolute=0.0)
FIELDS = [
    Field(name="bmi", type=Kind.FLOAT),
    Field(name="visits (all)", type=Kind.INT),
    Field(name="smokes", type=Kind.BOOL),
    Field(name='the "town"', type=Kind.STRING),
    Field(name="image", type=Kind.FLOAT, shape=(2, 3)),
    Field(name="words", type=Kind.STRING, shape=(-1,)),
    Field(name="steps", type=Kind.INT, shape=(-1, 2)),
    Field(name="cube", type=Kind.BOOL, shape=(2, -1, 2)),
]


def drawn(field: Field, rows: int, seed: int, open_axis: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    shape = (rows, *(open_axis if size < 0 else size for size in field.shape))
    match field.type:
        case Kind.FLOAT:
            return random.normal(size=shape)
        case Kind.INT:
            return random.integers(-(2**53), 2**53, size=shape)
        case Kind.BOOL:
            return random.random(shape) < 0.5
        case Kind.STRING:
            words = random.choice(["", "Äpfel", "it's", '"', "x" * 40], size=shape)
            return words.astype(object)


def archived(folder: Path, field: Field, frames: Sequence[np.ndarray | None]) -> Values:
    """Each frame's column, or none, through a real table and the query that reads it."""
    layout = Requests(Schema((field,)))
    process = Process()
    entries = []
    for number, column in enumerate(frames):
        ids = [f"{number}.{row}" for row in range(3 if column is None else len(column))]
        frame = process.input(ids, {})
        if column is not None:
            frame = process.input(ids, {field.name: column})
        entries.append(
            Entry(table="requests", position=1, source="g", seq=1, frame=frame, ids=ids, total=len(ids))
        )
    write_deltalake(str(folder), layout.batch(entries, date(2026, 11, 24)), mode="overwrite")
    found = sql.rows(
        f"SELECT id, {arrays.selected('in_', field)} FROM t ORDER BY id", t=DeltaTable(str(folder))
    )
    return arrays.values(found, field)


@pytest.mark.parametrize("field", FIELDS, ids=str)
@given(seed=st.integers(0, 2**32), frames=st.lists(st.none() | st.integers(1, 4), min_size=1, max_size=5))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_column_comes_back_whatever_it_holds(
    field: Field, seed: int, frames: list[int | None], tmp_path: Path
) -> None:
    columns = [None if rows is None else drawn(field, rows, seed + i, i % 3) for i, rows in enumerate(frames)]
    found = archived(tmp_path, field, columns)
    start = 0
    for column in columns:
        rows = slice(start, start + (3 if column is None else len(column)))
        assert found.null[rows].tolist() == [column is None] * (rows.stop - rows.start)
        if column is not None:
            assert found.part(rows).dtype == field.dtype
            np.testing.assert_array_equal(found.part(rows), column)
        start = rows.stop
    assert start == len(found.null)


@pytest.mark.parametrize("field", FIELDS, ids=str)
def test_a_column_of_no_rows_is_empty(field: Field, tmp_path: Path) -> None:
    layout = Requests(Schema((field,)))
    table = DeltaTable.create(str(tmp_path), layout.schema, partition_by=["day"])
    found = arrays.values(sql.rows(f"SELECT {arrays.selected('in_', field)} FROM t", t=table), field)
    assert (len(found.null), len(found.flat)) == (0, 0)
    assert equal(found, stacked(field, []), EXACT).tolist() == []


def test_a_float_that_an_endpoint_took_as_an_int_is_a_float_for_the_model(tmp_path: Path) -> None:
    as_int = Field(name="age", type=Kind.INT)
    layout = Requests(Schema((as_int,)))
    frame = Process().input(["a", "b"], {"age": np.array([40, 41])})
    entry = Entry(table="requests", position=1, source="g", seq=1, frame=frame, ids=["a", "b"], total=2)
    write_deltalake(str(tmp_path), layout.batch([entry], date(2026, 11, 24)))
    wanted = Field(name="age", type=Kind.FLOAT)
    found = sql.rows(f"SELECT {arrays.selected('in_', wanted)} FROM t", t=DeltaTable(str(tmp_path)))
    assert arrays.values(found, wanted).part(slice(0, 2)).tolist() == [40.0, 41.0]
    assert arrays.values(found, wanted).flat.dtype == np.dtype("<f8")


# --- which rows are the same ----------------------------------------------------------------


@given(
    field=st.sampled_from(FIELDS),
    seed=st.integers(0, 2**32),
    axes=st.lists(st.integers(0, 3), min_size=1, max_size=6),
    other=st.lists(st.booleans(), min_size=6, max_size=6),
)
@settings(deadline=None)
def test_rows_are_equal_where_numpy_says_so(
    field: Field, seed: int, axes: list[int], other: list[bool]
) -> None:
    """Against a comparison of row with row."""
    left = [drawn(field, 1, seed + i, axis) for i, axis in enumerate(axes)]
    right = [drawn(field, 1, seed + i + 99 * changed, (axis + changed) % 4)
             for i, (axis, changed) in enumerate(zip(axes, other, strict=False))]  # fmt: skip
    expected = [np.array_equal(a, b) for a, b in zip(left, right, strict=True)]
    assert equal(stacked(field, left), stacked(field, right), EXACT).tolist() == expected


def test_floats_may_differ_within_the_tolerance_and_two_missing_ones_are_the_same() -> None:
    field = Field(name="y", type=Kind.FLOAT)
    a = stacked(field, [np.array([1.0, 1.0, np.nan, np.nan])])
    b = stacked(field, [np.array([1.0 + 1e-9, 1.1, np.nan, 1.0])])
    assert equal(a, b, EXACT).tolist() == [False, False, True, False]
    assert equal(a, b, Tolerance(relative=1e-6, absolute=0.0)).tolist() == [True, False, True, False]


@given(
    field=st.sampled_from(FIELDS), seed=st.integers(0, 2**32), rows=st.lists(st.integers(0, 5), max_size=8)
)
@settings(deadline=None)
def test_rows_can_be_taken_in_any_order(field: Field, seed: int, rows: list[int]) -> None:
    columns = [drawn(field, 1, seed + row, row % 3) for row in range(6)]
    found = taken(stacked(field, columns), np.array(rows, np.int64))
    for place, row in enumerate(rows):
        np.testing.assert_array_equal(found.part(slice(place, place + 1)), columns[row])
