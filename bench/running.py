"""Podium alone, running for one of the smaller benches."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.machine import describe, warnings
from bench.peers.base import Model
from bench.peers.podium.peer import PEER, launch, ready, settled, status
from bench.plan import Case
from bench.processes import LOAD_CORE, SERVER_CORE
from bench.results import Figure, Results
from bench.serving import Running, scratch, started

SETTLE_SECONDS = 600.0


@contextmanager
def recording(what: str, folder: Path, **settings: object) -> Iterator[Results]:
    """A results file for one of the smaller benches."""
    machine = describe((), **settings)
    for warning in warnings(machine):
        print(f"warning: {warning}", flush=True)
    with Results(what, machine, folder) as results:
        yield results
    print(f"written: {results.file}", flush=True)


@contextmanager
def podium(
    model: Model, *, challengers: int = 1, core: int | None = SERVER_CORE, options: Sequence[str] = ()
) -> Iterator[Running]:
    """`podium up`, answering; its folder is removed afterwards. The load keeps to its core from here on."""
    os.sched_setaffinity(0, {LOAD_CORE})
    peer = replace(PEER, launch=partial(launch, challengers=challengers, options=options))
    case = Case(peer=peer, setting="plain", model=model)
    with scratch() as place, started(case, place / "podium", core=core) as running:
        running.first_answer()
        ready(running.site)
        yield running


def own_status(running: Running) -> Mapping[str, Any]:
    return status(running.site)


def archived(running: Running, *, every: float = 0.5) -> Mapping[str, Any]:
    """The status once everything received is archived."""
    return settled(running.site, patience=SETTLE_SECONDS, every=every)


def say(results: Results, figure: Figure) -> None:
    print(f"{figure.name}: {figure.value:,.4g} {figure.unit} {figure.note}".rstrip(), flush=True)
    results.add(figure)
