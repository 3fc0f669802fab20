"""`bench compare`: how long a comparison of two contenders takes, over a synthetic archive of a week."""

import resource
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

import duckdb
from arro3.core import RecordBatchReader
from deltalake import WriterProperties, write_deltalake

from bench.project import ENDPOINT
from bench.results import Figure
from bench.running import recording, say
from bench.serving import scratch
from podium.archive.comparing.compare import compare, find
from podium.archive.comparing.lake import opened
from podium.trials.comparison import Comparison

DAYS = 7
DAY_US = 86_400_000_000
FIRST_DAY_US = 20_400 * DAY_US
FRAME = 50
"""Requests in a frame: the scores of a contender lie together for so many, then come another's."""

OUTCOMES = 10
"""One request of so many has an outcome."""

# Of each contender: its role and what it says, from a request's number `i` and input `bmi`.
CONTENDERS = {
    "linear": ("champion", "150 + 300 * bmi"),
    "forest": ("challenger", "150 + 310 * bmi + 20 * (hash(i * 11) % 1000 / 1e3 - 0.5)"),
    "reference": ("canary", "150 + 200 * bmi"),
}
VERSION = "0123456789ab"


def measure(folder: Path, *, requests: int, times: int) -> None:
    with recording("compare", folder, requests=requests, times=times) as results, scratch() as place:
        archive = str(place / "archive")
        began = time.perf_counter()
        write(archive, requests)
        note = f"{megabytes(Path(archive)):,.0f} MB, written in {time.perf_counter() - began:.0f} s"
        say(results, Figure(name="archived requests", value=requests // DAYS * DAYS, unit="", note=note))
        seconds, processor = zip(*(_timed(archive) for _ in range(times)), strict=True)
        say(results, Figure(name="comparison of two contenders", value=median(seconds), unit="s"))
        say(results, Figure(name="its processor time", value=median(processor), unit="s"))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        say(results, Figure(name="memory at most", value=peak, unit="GB"))


def _timed(archive: str) -> tuple[float, float]:
    began, used = time.perf_counter(), time.process_time()
    found = compared(archive)
    seconds = time.perf_counter() - began, time.process_time() - used
    assert found.outputs[0].errors, "the outcomes were not found"
    return seconds


def compared(archive: str) -> Comparison:
    with opened(archive, ENDPOINT) as lake:
        found = find(lake, "linear", "forest", numbers={}, period=None)
        return compare(lake, ENDPOINT, found, tolerance=0.05, classes={})


# --- the archive ----------------------------------------------------------------------------


def write(archive: str, requests: int, more: Mapping[str, str] | None = None) -> None:
    """So many requests, three contenders' scores of each and outcomes of some, in the archive's layout.

    `more` are other tables, as queries over the requests `asked` of a day.
    """
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for day in range(DAYS):
            connection.execute(f"CREATE OR REPLACE TEMP TABLE asked AS {_asked(day, requests // DAYS)}")
            for name, query in (*_tables(), *(more or {}).items()):
                write_deltalake(
                    f"{archive}/{ENDPOINT}/{name}",
                    RecordBatchReader.from_arrow(connection.sql(query)),
                    mode="append",
                    partition_by=["day"],
                    writer_properties=WriterProperties(compression="ZSTD"),
                )


def _asked(day: int, count: int) -> str:
    """A day's requests, evenly spread over it, with ids like a gateway's: UUIDs that begin with the time."""
    first, step = day * count, DAY_US // count
    return f"""
        SELECT i, us, make_timestamptz(us) AS came, CAST(make_timestamptz(us) AS DATE) AS day,
            concat_ws('-', time[1:8], time[9:12], '7' || random[1:3], '8' || random[4:6], random[5:16]) AS id,
            hash(i * 3) % 1000000 / 1e6 - 0.5 AS bmi, hash(i * 5) % 1000000 / 1e6 AS bp,
            ['north', 'south', 'east', 'west'][1 + CAST(hash(i * 7) % 4 AS BIGINT)] AS region
        FROM (
            SELECT *, lower(lpad(to_hex(us // 1000), 12, '0')) AS time,
                lower(lpad(to_hex(hash(i)), 16, '0')) AS random
            FROM (
                SELECT range AS i, {FIRST_DAY_US + day * DAY_US} + (range - {first}) * {step} AS us
                FROM range({first}, {first + count})
            )
        )
    """


def _tables() -> Iterator[tuple[str, str]]:
    yield (
        "requests",
        "SELECT id, came AS received, day, NULL::VARCHAR AS caller, NULL::VARCHAR AS key, 0::BIGINT AS row, "
        "bmi AS in_bmi, bp AS in_bp, region AS in_region, NULL::VARCHAR AS trace FROM asked",
    )
    sides = " UNION ALL ".join(
        _scores(number, model, role, says) for number, (model, (role, says)) in enumerate(CONTENDERS.items())
    )
    yield "scores", f"SELECT * EXCLUDE (place) FROM ({sides}) ORDER BY place, id"
    yield (
        "outcomes",
        "SELECT id, 0::BIGINT AS row, day, came + INTERVAL 1 HOUR AS observed, "
        "150 + 305 * bmi + 40 * (hash(i * 23) % 1000 / 1e3 - 0.5) AS true_progression, "
        f"came + INTERVAL 2 HOUR AS received FROM asked WHERE hash(i * 29) % {OUTCOMES} = 0",
    )


def _scores(number: int, model: str, role: str, says: str) -> str:
    """One in a thousand fails, three are late."""
    luck = f"hash(i * 13 + {number}) % 1000"
    return f"""
        SELECT i // {FRAME} * {len(CONTENDERS)} + {number} AS place, id, 0::BIGINT AS row, day,
            '{model}' AS model, '{VERSION}' AS version, '{role}' AS role,
            CASE WHEN {luck} = 0 THEN 'error' WHEN {luck} < 4 THEN 'late' ELSE 'ok' END AS status,
            CASE WHEN {luck} = 0 THEN 'it failed' END AS error,
            0.2 + hash(i // {FRAME} * 17 + {number}) % 1000 / 1e3 AS queue_ms,
            0.5 * exp(hash(i // {FRAME} * 19 + {number}) % 1000 / 5e2) AS compute_ms,
            false AS replayed, CASE WHEN {luck} > 0 THEN {says} END AS out_progression,
            came + INTERVAL 3 MILLISECOND AS scored
        FROM asked
    """


def megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*.parquet")) / 1e6
