"""What the archive holds of a version's scores: live ones to compare with, replayed ones not to repeat."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from arro3.core import RecordBatch
from deltalake import DeltaTable

from podium.archive import arrays, sql
from podium.archive.agreement import Placed
from podium.archive.columns import STRING
from podium.archive.layouts import DAY, Scores
from podium.archive.past import Window
from podium.period import EPOCH, Period
from podium.schema import Schema

BEFORE = timedelta(minutes=1)
AFTER = timedelta(minutes=10)
"""A live score is archived with a time near its request's: clocks differ a little, and models are late."""


class Scored:
    """The scores of one version. Methods block, and see the table as it is at the call."""

    def __init__(self, table: DeltaTable, model: str, version: str) -> None:
        self._table = table
        self._own = f"model = {sql.text(model)} AND version = {sql.text(version)}"

    def replays(self, requests: DeltaTable, period: Period) -> tuple[int, str]:
        """How many requests of the period have a replayed score, and the last day on which one came."""
        if not self._any(f"{self._own} AND replayed"):
            return 0, ""
        count, day = sql.row(
            f"SELECT count(*) AS n, CAST(max(s.{DAY}) AS VARCHAR) AS d FROM "
            f"(SELECT id, max({DAY}) AS {DAY} FROM s WHERE {self._own} AND replayed GROUP BY id) s JOIN "
            f"(SELECT DISTINCT id FROM r WHERE received >= {sql.time(max(period.since_us, 0))} "
            f"AND received < {sql.time(max(period.until_us, 0))}) r ON s.id = r.id",
            s=self._table,
            r=requests,
        )
        return count, day or ""

    def replayed(self, ids: Sequence[str]) -> set[str]:
        """Which of these requests (some, perhaps others too) have a replayed score."""
        if not ids:
            return set()
        between = f"id >= {sql.text(min(ids))} AND id <= {sql.text(max(ids))}"
        found = self._rows(f"SELECT DISTINCT id FROM t WHERE {self._own} AND replayed AND {between}")
        return set(found.column("id").cast(STRING).to_pylist())

    def has_live(self) -> bool:
        return self._any(f"{self._own} AND NOT replayed")

    def live(self, window: Window, outputs: Schema) -> Placed:
        """The live scores for the requests of a window, and for some others."""
        at = [EPOCH + timedelta(microseconds=time) for time in (window.since, window.until)]
        since, until = at[0] - BEFORE, at[1] + AFTER
        columns = ", ".join(
            ["id", "row", *(arrays.selected(Scores.prefix, field) for field in outputs.fields)]
        )
        found = self._rows(
            f"SELECT {columns} FROM t WHERE {self._own} AND NOT replayed AND status <> 'error' "
            f"AND {DAY} >= DATE '{(since - timedelta(days=1)).date()}' "
            f"AND scored >= {sql.time(int((since - EPOCH).total_seconds()) * 1_000_000)} "
            f"AND scored < {sql.time(int((until - EPOCH).total_seconds()) * 1_000_000)}"
        )
        ids, rows = (found.column(name).to_pylist() for name in ("id", "row"))
        return Placed(
            places=list(zip(ids, rows, strict=True)),
            values={field.name: arrays.values(found, field) for field in outputs.fields},
        )

    def _any(self, predicate: str) -> bool:
        return self._rows(f"SELECT 1 FROM t WHERE {predicate} LIMIT 1").num_rows > 0

    def _rows(self, query: str) -> RecordBatch:
        return sql.rows(query, t=self._table)
