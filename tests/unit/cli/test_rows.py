"""Rows of users' files, of three kinds, with where each one stands."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from podium.cli.rows import PARQUET_ROWS, rows_of
from podium.errors import ProjectError


def test_the_rows_of_csv_are_text_with_their_line(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text('\ufeffid,note\na,"two\nlines"\nb\n', encoding="utf-8")
    rows = rows_of(file)
    assert list(rows.names()) == ["id", "note"]
    assert list(rows) == [
        (f"{file}:3", {"id": "a", "note": "two\nlines"}),
        (f"{file}:4", {"id": "b", "note": None}),
    ]


def test_the_rows_of_json_lines_may_leave_columns_out(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"id": "a", "y": 1}\n\n{"id": "b", "z": [1, 2]}\n')
    rows = rows_of(file)
    assert list(rows.names()) == ["id", "y", "z"]
    assert list(rows) == [(f"{file}:1", {"id": "a", "y": 1}), (f"{file}:3", {"id": "b", "z": [1, 2]})]
    assert rows.count() == 3


def test_the_rows_of_parquet_have_types_and_numbers(tmp_path: Path) -> None:
    file = tmp_path / "it's.parquet"
    path = str(file).replace("'", "''")
    duckdb.sql(
        "copy (select 'a' as id, 1.5::decimal(4, 1) as y, [1, 2] as pair, "
        f"timestamp '2026-01-01' as observed) to '{path}'"
    )
    rows = rows_of(file)
    assert list(rows.names()) == ["id", "y", "pair", "observed"]
    values = {"id": "a", "y": Decimal("1.5"), "pair": [1, 2], "observed": datetime(2026, 1, 1)}
    assert list(rows) == [(f"{file} row 1", values)]
    assert rows.count() == 1


def test_parquet_of_any_length_is_read_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    count = 2 * PARQUET_ROWS + 1
    duckdb.sql(f"copy (select n as id from range({count}) as r(n)) to '{file}'")
    assert [line.values["id"] for line in rows_of(file)] == list(range(count))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("rows.txt", b"id", "rows.txt: expected a file that ends with .csv, .jsonl, .parquet"),
        ("rows.csv", b"id\n\xff\xfe\n", "rows.csv cannot be read: "),
        ("rows.jsonl", b'{"id": 1}\n{"id":\n', "rows.jsonl:2 is not JSON: "),
        ("rows.jsonl", b"[1, 2]\n", "rows.jsonl:1: expected an object, found [1, 2]"),
        ("rows.parquet", b"id\n1\n", "rows.parquet is not Parquet: "),
        ("rows.parquet", b"", "rows.parquet is not Parquet: "),
    ],
)
def test_a_file_that_is_not_what_it_should_be_says_where(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ProjectError) as found:
        list(rows_of(tmp_path / name))
    assert str(found.value).startswith(f"{tmp_path}/{words}")
    assert "\n" not in str(found.value)
