"""The figures are those that plain queries on the raw tables give."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.archive.usage.figures import Usage
from podium.archive.usage.lines import bucket
from podium.archive.usage.sums import usage
from podium.archive.usage.update import update
from podium.counters import bucket_of
from podium.period import Period, moment_of

from ..traffic import ENDPOINT
from . import million
from .million import FIRST_US, TOLERANCE, opened

WITHIN = 0.045
"""How far a quantile may be from the true one."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a million")
    million.write(folder)
    assert update(str(folder), ENDPOINT, tolerance=TOLERANCE).hours == 48
    return folder


@pytest.fixture(scope="module")
def tables(archive: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with opened(archive, *million.TABLES, "usage") as connection:
        yield connection


def rows(connection: duckdb.DuckDBPyConnection, query: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Figures by their key, which is what is not a number."""
    found = {}
    for hour, caller, model, version, rule, *figures in connection.execute(query).fetchall():
        found[hour, caller, model, version, rule] = tuple(figures)
    return found


def test_a_million_rows_are_archived(tables: duckdb.DuckDBPyConnection) -> None:
    counts = [tables.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in million.TABLES]
    assert sum(counts) > 1_000_000


def test_requests_and_answers_are_those_of_a_plain_query(tables: duckdb.DuckDBPyConnection) -> None:
    plain = rows(
        tables,
        """
        SELECT epoch_us(date_trunc('hour', received)), caller, model, version, rule,
            count(DISTINCT id), count(*),
            count(DISTINCT CASE WHEN model IS NOT NULL THEN id END),
            count(DISTINCT CASE WHEN rule = 'default' THEN id END)
        FROM requests LEFT JOIN answers USING (id, row) GROUP BY ALL
        """,
    )
    lines = rows(
        tables,
        "SELECT epoch_us(hour), caller, model, version, rule, requests, rows, answers, defaults FROM usage "
        "WHERE requests > 0",
    )
    assert lines == plain
    assert {rule for _, _, _, _, rule in plain} == {"champion", "challenger", "default", None}


SCORED = """
    WITH answered AS (
        SELECT s.*, epoch_us(date_trunc('hour', received)) AS hour, caller, rule
        FROM scores s JOIN requests r ON s.id = r.id AND s.row = r.row
        LEFT JOIN answers a
            ON a.id = s.id AND a.row = s.row AND a.model = s.model AND a.version = s.version
    ), newest AS (
        SELECT id, row, true_y FROM outcomes
        QUALIFY row_number() OVER (PARTITION BY id, row ORDER BY received DESC) = 1
    )
"""


def test_scores_are_those_of_a_plain_query(tables: duckdb.DuckDBPyConnection) -> None:
    plain = rows(
        tables,
        f"""{SCORED}
        SELECT hour, caller, model, version, rule,
            count(DISTINCT CASE WHEN status <> 'error' THEN id END),
            count(DISTINCT CASE WHEN status = 'late' THEN id END),
            count(DISTINCT CASE WHEN status = 'error' THEN id END)
        FROM answered GROUP BY ALL
        """,
    )
    lines = rows(
        tables,
        "SELECT epoch_us(hour), caller, model, version, rule, scored, late, errors FROM usage "
        "WHERE scored + errors > 0",
    )
    assert lines == plain


def test_disagreements_are_those_of_a_plain_query(tables: duckdb.DuckDBPyConnection) -> None:
    plain = rows(
        tables,
        f"""{SCORED}
        SELECT b.hour, b.caller, b.model, b.version, b.rule, count(*),
            count(*) FILTER (abs(b.out_y - a.out_y) > {TOLERANCE} * abs(a.out_y))
        FROM answered b JOIN scores a ON a.id = b.id AND a.row = b.row
        WHERE a.role = 'champion' AND b.role <> 'champion' AND a.status <> 'error' AND b.status <> 'error'
        GROUP BY ALL
        """,
    )
    lines = rows(
        tables,
        "SELECT epoch_us(hour), caller, model, version, rule, compared, disagreements FROM usage "
        "WHERE compared > 0",
    )
    assert lines == plain
    assert 0 < sum(apart for _, apart in plain.values()) < sum(compared for compared, _ in plain.values())


def test_errors_against_the_newest_outcomes_are_those_of_a_plain_query(
    tables: duckdb.DuckDBPyConnection,
) -> None:
    plain = rows(
        tables,
        f"""{SCORED}
        SELECT hour, caller, model, version, rule,
            count(*), sum(abs(out_y - true_y)), sum((out_y - true_y) ** 2)
        FROM answered JOIN newest USING (id, row) WHERE status <> 'error' GROUP BY ALL
        """,
    )
    lines = rows(
        tables,
        "SELECT epoch_us(hour), caller, model, version, rule, judged_y, absolute_y, squared_y FROM usage "
        "WHERE judged_y > 0",
    )
    assert lines.keys() == plain.keys()
    assert lines == {key: pytest.approx(figures) for key, figures in plain.items()}


def test_the_time_of_a_computation_counts_once_however_many_rows_share_it(
    tables: duckdb.DuckDBPyConnection,
) -> None:
    plain = tables.execute("""
        SELECT model, sum(compute_ms) / 1000 FROM (
            SELECT DISTINCT date_trunc('hour', received) AS hour, model, scored, compute_ms
            FROM scores JOIN requests USING (id, row)
        ) GROUP BY ALL
    """)
    expected = dict(plain.fetchall())
    lines = tables.execute("SELECT model, sum(compute_s) FROM usage WHERE compute_s > 0 GROUP BY ALL")
    assert dict(lines.fetchall()) == pytest.approx(expected)


@pytest.fixture(scope="module")
def found(archive: Path) -> Usage:
    return usage(str(archive), ENDPOINT, period(0, 48))


def period(first: int, after: int) -> Period:
    """From one hour up to another one of the archive's."""
    since, until = (moment_of(FIRST_US + hour * 3_600_000_000) for hour in (first, after))
    return Period(since=since, until=until)


def test_quantiles_are_within_what_is_promised(tables: duckdb.DuckDBPyConnection, found: Usage) -> None:
    took = tables.execute("SELECT total_ms FROM answers WHERE row = 0").fetchnumpy()["total_ms"]
    total = found.total
    for q, said in ((0.5, total.p50_ms), (0.9, total.p90_ms), (0.99, total.p99_ms)):
        assert said == pytest.approx(np.quantile(took, q, method="inverted_cdf"), rel=WITHIN)
    assert total.mean_ms == pytest.approx(took.mean())


def test_every_way_to_group_the_lines_comes_to_the_same_requests(found: Usage) -> None:
    for groups in (found.rules, found.callers, found.hours, found.days):
        assert sum(group.requests for group in groups) == million.REQUESTS
        assert sum(group.answers + group.defaults + group.unanswered for group in groups) == million.REQUESTS
    assert [caller.caller for caller in found.callers] == ["shop", "web", None]
    assert (len(found.hours), len(found.days)) == (48, 2)
    assert found.total.unanswered > 0


def test_periods_that_follow_each_other_add_up(archive: Path, found: Usage) -> None:
    parts = [usage(str(archive), ENDPOINT, period(*hours)) for hours in ((0, 7), (7, 30), (30, 48))]
    assert sum(part.total.requests for part in parts) == found.total.requests
    assert sum(part.total.disagreements for part in parts) == found.total.disagreements


# --- buckets --------------------------------------------------------------------------------


@given(st.lists(st.floats(min_value=0, max_value=1e9, allow_nan=False), min_size=1, max_size=50))
def test_sql_has_the_buckets_of_the_counters(latencies: list[float]) -> None:
    values = ", ".join(f"({ms!r}::DOUBLE)" for ms in latencies)
    found = duckdb.sql(f"SELECT {bucket('ms')} FROM (VALUES {values}) each(ms)").fetchall()
    assert [number for (number,) in found] == [bucket_of(ms) for ms in latencies]
