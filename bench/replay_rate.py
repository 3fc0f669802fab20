"""`bench replay`: how fast archived requests are read, and how fast the linear model scores them again."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from bench.processes import SERVER_CORE
from bench.project import ENDPOINT, trained
from bench.results import Figure
from bench.running import recording, say
from bench.serving import scratch
from podium.archive import reading
from podium.archive.entries import Entry
from podium.archive.past import Past
from podium.archive.tables import Tables
from podium.models.loading import Scorer, load
from podium.models.trust import Trust
from podium.period import Period, microseconds
from podium.protocol.frames import InputFrame, pack
from podium.records import Contender, Role
from podium.registry.folder import FolderRegistry
from podium.workers.replay import Endpoint, Replay

PER_FRAME = 50
PER_SECOND = 5_000
FRAMES_PER_COMMIT = 200
BATCH_ROWS = 4096
START = datetime(2026, 11, 1, tzinfo=UTC)


def measure(folder: Path, *, requests: int) -> None:
    with recording("replay", folder, requests=requests) as results, scratch() as place:
        os.sched_setaffinity(0, {SERVER_CORE})
        version = FolderRegistry(trained("linear") / ".podium" / "registry").find("champion")
        scorer = load(version.path, trust=Trust.load())
        _fill(place, scorer, requests)
        period = Period(since=START, until=START + timedelta(seconds=requests / PER_SECOND + 1))
        read = requests / _reading(place, scorer, period, requests)
        say(results, Figure(name="archived requests read", value=read, unit="requests/s", note="on one core"))
        endpoint = Endpoint(name=ENDPOINT, archive=str(place), inputs=scorer.inputs, outputs=scorer.outputs)
        contender = Contender(model="champion", version=version.short, number=1, role=Role.CHALLENGER)
        report = Replay(endpoint, contender, scorer, period, within=scorer.manifest.tolerance).run()
        assert report.scored == requests, report
        note = "read, scored and archived, on one core"
        say(results, Figure(name="replayed with linear", value=report.rate, unit="requests/s", note=note))


def _reading(place: Path, scorer: Scorer, period: Period, requests: int) -> float:
    """Seconds until every batch has been ready for a model."""
    start = time.perf_counter()
    past = Past(reading.table(str(place), ENDPOINT, "requests"), period, scorer.inputs)
    batches = (batch for window in past.windows() for batch in past.read(window).batches(BATCH_ROWS))
    found = sum(len(batch.ids) for batch in batches)
    assert found == requests, found
    return time.perf_counter() - start


def _fill(place: Path, scorer: Scorer, requests: int) -> None:
    """Requests of one row each, `PER_SECOND`, as an archiver writes and merges them."""
    tables = Tables(str(place), ENDPOINT, scorer.inputs, scorer.outputs)
    tables.create()
    entries: list[Entry[InputFrame]] = []
    for entry in _entries(requests):
        entries.append(entry)
        if len(entries) == FRAMES_PER_COMMIT:
            tables.append(entries, START.date())
            tables.tidy(busy=False)
            entries = []
    if entries:
        tables.append(entries, START.date())


def _entries(requests: int) -> Iterator[Entry[InputFrame]]:
    chance = np.random.default_rng(20)
    arrived = microseconds(START) + np.arange(requests) * (1_000_000 // PER_SECOND)
    for number, first in enumerate(range(0, requests, PER_FRAME), 1):
        count = min(PER_FRAME, requests - first)
        times = arrived[first : first + count].tolist()
        frame = InputFrame(
            endpoint=ENDPOINT,
            revision=1,
            source="gateway",
            seq=number,
            reply="scores.gateway",
            ids=[f"019a3c7e-0000-7000-8000-{first + index:012x}" for index in range(count)],
            arrived=times,
            deadline=times,
            sent=times[0],
            expires=times[0],
            columns=pack({"bmi": chance.normal(0, 0.0476, count)}),
        )
        yield Entry(
            table="requests",
            position=number,
            source=frame.source,
            seq=number,
            frame=frame,
            ids=frame.ids,
            total=count,
        )
