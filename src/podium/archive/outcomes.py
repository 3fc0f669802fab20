"""Outcomes beside what every contender said, also those that did not answer: queries for DuckDB.

Rows are joined by `id` and `row` alone, since an outcome may come months after its request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from podium.archive.names import OUTCOMES, SCORES
from podium.archive.reading import files, table
from podium.errors import NotFound

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation


def judged(
    connection: DuckDBPyConnection, archive: str, endpoint: str, outputs: Sequence[str]
) -> DuckDBPyRelation:
    """A row for each contender's score of each row whose outcome is known: see `judged_sql`.

    It is what the archive holds now. Raises NotFound where there is no outcome, or no score.
    """
    for name in (SCORES, OUTCOMES):
        if not (there := files(table(archive, endpoint, name))):
            raise NotFound(f"no {name} of {endpoint!r} are archived yet")
        connection.read_parquet(there, hive_partitioning=True, union_by_name=True).create_view(
            name, replace=True
        )
    return connection.sql(judged_sql(outputs))


def judged_sql(outputs: Sequence[str]) -> str:
    """SQL over `scores` and `outcomes`: all columns of `scores`, `observed`, `received`, `true_NAME`.

    Failed scores are there with their status, and replayed ones beside the live. A contender whose
    worker was killed may have both a score and an error: the score counts.
    """
    truths = _listed(outputs, "newest.{}")
    return f"""
        SELECT {SCORES}.*, newest.observed, newest.received{truths}
        FROM {SCORES} JOIN ({newest_sql(outputs)}) AS newest USING (id, row)
        QUALIFY row_number() OVER (
            PARTITION BY id, row, model, version, replayed
            ORDER BY {SCORES}.status = 'error', {SCORES}.status = 'late', {SCORES}.scored
        ) = 1
    """


def newest_sql(outputs: Sequence[str]) -> str:
    """SQL over `outcomes`: one row for each `id` and `row`.

    Of each output it has the value that came last, so that a correction of one output leaves the
    others; `observed` and `received` are the last outcome's.
    """
    truths = _listed(outputs, f"arg_max({{0}}, {OUTCOMES}.received) AS {{0}}")
    return f"""
        SELECT id, row, max({OUTCOMES}.received) AS received,
            arg_max(observed, {OUTCOMES}.received) AS observed{truths}
        FROM {OUTCOMES} GROUP BY id, row
    """


def _listed(outputs: Sequence[str], form: str) -> str:
    quoted = ['"' + f"true_{name}".replace('"', '""') + '"' for name in outputs]
    return "".join(", " + form.format(column) for column in quoted)
