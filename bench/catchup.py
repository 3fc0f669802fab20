"""`bench archive`: how fast the tables catch up with the stream, in rows of requests a second."""

import time
from pathlib import Path

from deltalake import DeltaTable

from bench.payloads import rows
from bench.project import ENDPOINT
from bench.results import Figure
from bench.running import archived, own_status, podium, recording, say
from bench.serving import Running

CONNECTIONS = 8
# A shorter backlog is archived within one turn of polling, and says nothing about a rate.
LEAST_BACKLOG = 100
TABLES = ("requests", "scores", "answers")


def measure(folder: Path, seconds: float) -> None:
    size = len(rows("rows"))
    with recording("archive", folder, seconds=seconds, rows=size) as results, podium("rows") as running:
        archived(running)
        start = time.perf_counter()
        load = running.closed(CONNECTIONS, seconds, "binary")
        # Asking takes a while, and counts as catching up: rather too slow than too fast.
        stopped = time.perf_counter()
        behind = own_status(running)
        done = archived(running, every=0.1)
        end = time.perf_counter()
        backlog = behind["received"] - behind["archived"]
        note = f"backlog {backlog * size:,} rows, caught up in {end - stopped:.1f} s"
        whole = done["archived"] * size / (end - start)
        caught = backlog * size / (end - stopped) if backlog >= LEAST_BACKLOG else whole
        say(results, Figure(name="catch-up", value=caught, unit="rows/s", note=note))
        say(results, Figure(name="load and catch-up together", value=whole, unit="rows/s"))
        arrived = load.per_second * size
        say(results, Figure(name="arrived during the load", value=arrived, unit="rows/s"))
        # The probe for the first answer was a request too, of as many rows.
        missing = done["received"] * size - _rows(running, "requests")
        say(results, Figure(name="rows missing in the table of requests", value=missing, unit="rows"))
        for table in TABLES:
            say(results, Figure(name=f"table {table}", value=_rows(running, table), unit="rows"))


def _rows(running: Running, table: str) -> int:
    """Counted in the table itself, not taken from Podium's own counters."""
    archive = running.site.scratch / "project" / ".podium" / "archive" / ENDPOINT / table
    return int(DeltaTable(str(archive)).count())
