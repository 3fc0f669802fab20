"""The archive as a stranger sees it: DuckDB over the Parquet files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb

from podium.archive import reading

from .traffic import ENDPOINT

Row = Mapping[str, Any]


def rows(archive: str, name: str, *, order: str = "id, row") -> list[dict[str, Any]]:
    """All rows of a table; times as µs since the epoch, days as text."""
    found = reading.table(archive, ENDPOINT, name)
    if not reading.files(found):
        return []
    with duckdb.connect() as connection:
        relation = connection.read_parquet(reading.files(found), hive_partitioning=True, union_by_name=True)
        shown = [
            _shown(column, str(kind)) for column, kind in zip(relation.columns, relation.types, strict=True)
        ]
        selected = relation.project(", ".join(shown)).order(order)
        return [dict(zip(relation.columns, row, strict=True)) for row in selected.fetchall()]


def _shown(column: str, kind: str) -> str:
    quoted = '"' + column.replace('"', '""') + '"'
    if kind.startswith("TIMESTAMP"):
        return f"epoch_us({quoted}) AS {quoted}"
    return f"CAST({quoted} AS VARCHAR) AS {quoted}" if kind == "DATE" else quoted


def ids(archive: str, name: str) -> list[str]:
    return [row["id"] for row in rows(archive, name)]


def files(archive: str, name: str) -> list[str]:
    return reading.files(reading.table(archive, ENDPOINT, name))
