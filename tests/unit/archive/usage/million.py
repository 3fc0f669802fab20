"""An archive of more than a million rows, made by DuckDB in the archive's layout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from arro3.core import RecordBatchReader
from deltalake import DeltaTable, write_deltalake

from podium.archive.reading import files

from ..traffic import ENDPOINT

REQUESTS = 200_000
DAY_US = 86_400_000_000
FIRST_US = 20_400 * DAY_US
STEP_US = 2 * DAY_US // REQUESTS
FRAME = 50
TOLERANCE = 0.05
TABLES = ("requests", "scores", "answers", "outcomes")

# What each says of a row with the input x.
CONTENDERS = {
    "linear": ("champion", "100 + 50 * x"),
    "forest": ("challenger", "100 + 50 * x + 12 * (hash(i * 11) % 1000 / 1e3 - 0.5)"),
    "reference": ("canary", "100 + 40 * x"),
}


def write(archive: Path) -> None:
    """Two days, in two commits for each table. Every tenth id is a caller's own, which no time begins."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for part in range(2):
            connection.execute(f"CREATE OR REPLACE TEMP TABLE asked AS {_asked(part)}")
            for name, query in _queries():
                write_deltalake(
                    str(archive / ENDPOINT / name),
                    RecordBatchReader.from_arrow(connection.sql(query)),
                    mode="append",
                    partition_by=["day"],
                )


def _asked(part: int) -> str:
    """Every seventh request has two rows."""
    first, after = (number * REQUESTS // 2 for number in (part, part + 1))
    return f"""
        SELECT i, row, us, make_timestamptz(us) AS came, CAST(make_timestamptz(us) AS DATE) AS day,
            CASE WHEN i % 10 = 0 THEN 'own-' || hash(i) ELSE lpad(to_hex(us), 14, '0') || hash(i) END AS id,
            hash(i * 3 + row) % 1000 / 1e3 AS x, hash(i * 5) % 1000 AS luck
        FROM (SELECT range AS i, {FIRST_US} + range * {STEP_US} AS us FROM range({first}, {after}))
        JOIN (VALUES (0::BIGINT), (1::BIGINT)) numbers(row) ON row = 0 OR i % 7 = 0
    """


def _queries() -> Iterator[tuple[str, str]]:
    yield (
        "requests",
        "SELECT id, came AS received, day, ['shop', 'web', NULL][1 + CAST(i % 3 AS INTEGER)] AS caller, "
        "NULL::VARCHAR AS key, row, x AS in_x FROM asked",
    )
    sides = " UNION ALL ".join(
        _scores(number, model, role, says) for number, (model, (role, says)) in enumerate(CONTENDERS.items())
    )
    yield "scores", sides
    yield (
        "answers",
        f"SELECT id, row, day, CASE WHEN luck >= 20 THEN 'linear' WHEN luck >= 3 THEN 'forest' END AS model, "
        "CASE WHEN luck >= 3 THEN 'aaaaaaaaaaaa' END AS version, "
        "CASE WHEN luck >= 20 THEN 'champion' WHEN luck >= 3 THEN 'challenger' ELSE 'default' END AS rule, "
        "1::BIGINT AS revision, 0.3 * exp(hash(i * 7) % 1000 / 2e2) AS total_ms, "
        f"{CONTENDERS['linear'][1]} AS out_y, came + INTERVAL 3 MILLISECOND AS answered "
        "FROM asked WHERE luck < 999",  # of a few requests the answer was lost
    )
    told = (
        "SELECT id, row, day, came AS observed, {} AS true_y, came + INTERVAL {} HOUR AS received FROM asked"
    )
    yield (
        "outcomes",
        f"{told.format('100 + 49 * x', 2)} WHERE hash(i * 13) % 10 = 0 UNION ALL "
        f"{told.format('100 + 48 * x', 3)} WHERE hash(i * 13) % 100 = 0",  # corrections
    )


def _scores(number: int, model: str, role: str, says: str) -> str:
    """All rows of a frame have its time and its computation's."""
    failed = f"hash(i * 17 + {number}) % 500 = 0"
    late = f"hash(i * 19 + {number}) % 300 = 0"
    frame = f"i // {FRAME}"
    return f"""
        SELECT id, row, day, '{model}' AS model, 'aaaaaaaaaaaa' AS version, '{role}' AS role,
            CASE WHEN {failed} THEN 'error' WHEN {late} THEN 'late' ELSE 'ok' END AS status,
            0.2::DOUBLE AS queue_ms, 0.5 + hash({frame} * 23 + {number}) % 1000 / 1e3 AS compute_ms,
            false AS replayed, CASE WHEN NOT {failed} THEN {says} END AS out_y,
            make_timestamptz({FIRST_US} + {frame} * {FRAME * STEP_US} + 3000) AS scored
        FROM asked
    """


@contextmanager
def opened(archive: Path, *names: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """The tables as a stranger sees them."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name in names:
            found = files(DeltaTable(str(archive / ENDPOINT / name)))
            connection.read_parquet(found, hive_partitioning=True, union_by_name=True).create_view(name)
        yield connection
