"""`bench usage`: how long the figures of usage take, over a synthetic archive of a week."""

import resource
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import duckdb
from arro3.core import RecordBatchReader
from deltalake import write_deltalake

from bench.compare_time import CONTENDERS, DAYS, FIRST_DAY_US, VERSION, megabytes, write
from bench.project import ENDPOINT
from bench.results import Figure
from bench.running import recording, say
from bench.serving import scratch
from podium.archive.usage.sums import usage
from podium.archive.usage.update import update
from podium.period import Period, moment_of

TOLERANCE = 0.05
LATE = 1000
"""Outcomes that come late, all of one hour's requests."""

# Of a thousand answers twelve are another contender's, three the default.
ANSWERS = f"""
    SELECT id, 0::BIGINT AS row, day,
        CASE WHEN luck >= 15 THEN 'linear' WHEN luck >= 3 THEN 'forest' END AS model,
        CASE WHEN luck >= 3 THEN '{VERSION}' END AS version,
        CASE WHEN luck >= 15 THEN 'champion' WHEN luck >= 3 THEN 'challenger' ELSE 'default' END AS rule,
        1::BIGINT AS revision, 0.8 * exp(hash(i * 31) % 1000 / 4e2) AS total_ms,
        {CONTENDERS["linear"][1]} AS out_progression, came + INTERVAL 4 MILLISECOND AS answered
    FROM (SELECT *, hash(i * 37) % 1000 AS luck FROM asked)
"""


def measure(folder: Path, *, requests: int) -> None:
    with recording("usage", folder, requests=requests) as results, scratch() as place:
        archive = str(place / "archive")
        write(archive, requests, {"answers": ANSWERS})
        note = f"{megabytes(Path(archive)):,.0f} MB"
        say(results, Figure(name="archived requests", value=requests // DAYS * DAYS, unit="", note=note))
        hours, seconds, processor = _timed(lambda: _updated(archive))
        assert hours == DAYS * 24
        say(results, Figure(name="all hours made", value=seconds, unit="s"))
        say(results, Figure(name="its processor time", value=processor, unit="s"))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        say(results, Figure(name="memory at most", value=peak, unit="GB", note="of writing the archive too"))
        _come_late(archive)
        hours, seconds, _ = _timed(lambda: _updated(archive))
        assert hours == 1
        say(results, Figure(name="one hour made again after late outcomes", value=seconds, unit="s"))
        counted, seconds, _ = _timed(lambda: _counted(archive))
        assert counted == requests // DAYS * DAYS
        say(results, Figure(name="figures of the week read", value=seconds, unit="s"))


def _timed(do: Callable[[], int]) -> tuple[int, float, float]:
    began, used = time.perf_counter(), time.process_time()
    found = do()
    return found, time.perf_counter() - began, time.process_time() - used


def _updated(archive: str) -> int:
    return update(archive, ENDPOINT, tolerance=TOLERANCE).hours


def _counted(archive: str) -> int:
    since = moment_of(FIRST_DAY_US)
    found = usage(archive, ENDPOINT, Period(since=since, until=since + timedelta(days=DAYS)))
    return found.total.requests


def _come_late(archive: str) -> None:
    """Outcomes of the first requests, which came within an hour, a week later."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        requests = f"{archive}/{ENDPOINT}/requests/*/*.parquet"
        late = connection.sql(f"""
            SELECT id, row, CAST(received + INTERVAL {DAYS} DAY AS DATE) AS day, received AS observed,
                150.0::DOUBLE AS true_progression, received + INTERVAL {DAYS} DAY AS received
            FROM read_parquet('{requests}') ORDER BY received LIMIT {LATE}
        """)
        write_deltalake(f"{archive}/{ENDPOINT}/outcomes", RecordBatchReader.from_arrow(late), mode="append")
