"""`bench soak`: memory after many requests, against memory after the first 100,000."""

import time
from collections.abc import Mapping
from pathlib import Path

from bench.processes import pss_mb
from bench.results import Figure, Results
from bench.running import archived, own_status, podium, recording, say
from bench.serving import Running

TARGET = 10_000_000
FIRST = 100_000
SLICE_SECONDS = 5
REST_SECONDS = 150
"""The broker's collector looks every two minutes when nothing is asked for."""

CONNECTIONS = 32


def measure(folder: Path, *, requests: int) -> None:
    with recording("soak", folder, requests=requests) as results, podium("linear") as running:
        start = time.perf_counter()
        sent = _send(running, FIRST)
        before = _memory(running, results, sent)
        sent += _send(running, requests - sent)
        after = _memory(running, results, sent)
        took = time.perf_counter() - start
        counts = own_status(running)
        lost = counts["received"] - counts["archived"]
        growth = (sum(after.values()) / sum(before.values()) - 1) * 100
        note = (
            f"{sent:,} requests in {took:,.0f} s; {counts['defaulted']:,} by default, {lost:,} not archived"
        )
        name = "memory, more than at the start"
        name += "" if sent >= TARGET else f", after {sent:,}"  # fewer say nothing about the target
        say(results, Figure(name=name, value=growth, unit="%", note=note))


def _send(running: Running, requests: int) -> int:
    """At least so many requests, in slices, so that progress shows; the number really sent."""
    sent = 0
    while sent < requests:
        load = running.closed(CONNECTIONS, SLICE_SECONDS)
        if load.requests == 0:
            raise SystemExit("podium answers no more; see its log")
        sent += load.requests
        print(f"  {sent:,} of {requests:,} at {load.per_second:,.0f}/s, {load.errors} errors", flush=True)
    return sent


def _memory(running: Running, results: Results, sent: int) -> Mapping[str, float]:
    """Each process's memory at rest: what waits for the archive, or for a collector, is no leak."""
    archived(running)
    time.sleep(REST_SECONDS)
    processes = own_status(running)["processes"]
    memory = {process["name"]: pss_mb(process["pid"]) for process in processes}
    for name, size in memory.items():
        say(results, Figure(name=f"{name} after {sent:,}", value=size, unit="MB"))
    say(results, Figure(name=f"all after {sent:,}", value=sum(memory.values()), unit="MB"))
    say(results, Figure(name=f"on disk after {sent:,}", value=_disk_mb(running), unit="MB"))
    return memory


def _disk_mb(running: Running) -> float:
    """Stream and tables."""
    kept = (running.site.scratch / "project" / ".podium").rglob("*")
    return sum(file.stat().st_size for file in kept if file.is_file()) / 1e6
