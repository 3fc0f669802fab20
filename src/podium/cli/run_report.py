"""`podium run report`: what the process of a pod has counted, for commands that look at a cluster."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import click
import msgspec

from podium import environment, failures
from podium.archive import drift_report
from podium.archive.drift_report import DriftReport
from podium.counters import Counts, Series, merged, total
from podium.failures import Failure

POLL_SECONDS = 0.02


class PodReport(msgspec.Struct, frozen=True, kw_only=True):
    """`cells` are a pod's counts, by the text of their series.

    `drift` is what an archiver has found, `failures` are what a worker's contender last failed with.
    """

    cells: dict[str, tuple[int, ...]]
    drift: DriftReport
    failures: dict[str, Failure]

    @property
    def counts(self) -> Counts:
        return {Series.parse(text): cells for text, cells in self.cells.items()}

    @property
    def revision(self) -> int:
        """The policy's revision that a gateway uses."""
        return total(self.counts, "revision")


@click.command()
@click.option("--revision", type=int, default=0, help="First wait until it is in use …")
@click.option("--seconds", type=float, default=0.0, help="… but no longer than this.")
def report(revision: int, seconds: float) -> None:
    """Say, as one JSON document, what this pod's process has counted."""
    _go_first()
    folder = environment.counters_of(os.environ)
    give_up = time.monotonic() + seconds
    while total(merged(folder), "revision") < revision and time.monotonic() < give_up:
        time.sleep(POLL_SECONDS)
    cells = {str(series): cells for series, cells in merged(folder).items()}
    said = PodReport(cells=cells, drift=drift_report.read(folder), failures=failures.all_of(folder))
    click.echo(msgspec.json.encode(said).decode())


def _go_first() -> None:
    """Where the pod's memory is too little for a model and this process, it is this one that ends."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
