"""The benchmark: every peer in turn, three times over, the constant repeated beside each."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

from bench.alone import alone
from bench.environments import ensure
from bench.machine import describe, warnings
from bench.peers.base import Model, Peer
from bench.peers.granian.peer import CONSTANT
from bench.plan import Case, Step, cases
from bench.processes import LOAD_CORE, NoAnswer
from bench.results import Counters, Failure, Measure, Results, Start
from bench.serving import Running, scratch, started
from bench.wrk import Hung

CONSTANT_SECONDS = 1
WARM_SECONDS = 1


class Where(TypedDict):
    """What every line of a run begins with."""

    round: int
    peer: str
    setting: str
    model: str


def run(peers: Sequence[Peer], models: Sequence[Model], *, seconds: float, rounds: int, folder: Path) -> Path:
    environments = prepare(peers)
    machine = describe(environments, seconds=seconds, rounds=rounds)
    for warning in warnings(machine):
        print(f"warning: {warning}", flush=True)
    os.sched_setaffinity(0, {LOAD_CORE})
    baseline = Case(peer=CONSTANT, setting="constant", model="linear")
    with (
        Results("run", machine, folder) as results,
        scratch() as place,
        started(baseline, place / "constant") as constant,
    ):
        constant.first_answer()
        bench = Bench(results, constant, place, seconds)
        for number in range(rounds):
            for model in models:
                results.add(alone(number, model, seconds / 2))
            for case in cases(peers, models):
                print(f"round {number + 1} of {rounds}: {case.title}", flush=True)
                bench.take(number, case)
    return results.file


def prepare(peers: Sequence[Peer]) -> list[str]:
    """Makes the environments that these peers need, and names them."""
    names = dict.fromkeys(peer.environment for peer in (*peers, CONSTANT) if peer.environment)
    for name in names:
        ensure(name)
    return list(names)


class Bench:
    """Takes one case after the other and writes down what it sees."""

    def __init__(self, results: Results, constant: Running, place: Path, seconds: float) -> None:
        self._results = results
        self._constant = constant
        self._place = place
        self._seconds = seconds

    def take(self, number: int, case: Case) -> None:
        where = Where(round=number, peer=case.peer.name, setting=case.setting, model=case.model)
        try:
            # Before the server starts, because what it does in the background would slow the constant.
            constants = {connections: self._beside(connections) for connections in case.constants()}
            with started(case, self._place / "peer") as running:
                self._measure(where, case, running, constants)
        except (NoAnswer, Hung, OSError, subprocess.SubprocessError) as error:
            self._failed(where, str(error))

    def _measure(self, where: Where, case: Case, running: Running, constants: Mapping[int, float]) -> None:
        first = running.first_answer()
        if case.peer.ready is not None:
            case.peer.ready(running.site)
        with suppress(Hung):
            running.closed(32, WARM_SECONDS)
        for step in case.steps():
            running.drain()
            try:
                self._step(where, running, step, None if step.rate else constants.get(step.connections))
            except Hung as error:
                self._failed(where, f"{step.name}, {step.wire}: {error}")
        self._results.add(Start(**where, first_answer_s=first, memory_mb=running.server.memory_mb()))
        if case.peer.counters is not None:
            self._results.add(Counters(**where, figures=case.peer.counters(running.site)))

    def _failed(self, where: Where, reason: str) -> None:
        print(f"  failed: {reason}", flush=True)
        self._results.add(Failure(**where, reason=reason))

    def _beside(self, connections: int) -> float:
        return self._constant.closed(connections, CONSTANT_SECONDS).per_second

    def _step(self, where: Where, running: Running, step: Step, constant: float | None) -> None:
        seconds = self._seconds * step.share
        if step.rate:
            load = running.open(step.rate, seconds, step.wire)
        else:
            load = running.closed(step.connections, seconds, step.wire)
        measure = Measure(
            **where,
            wire=step.wire,
            load=step.name,
            per_second=load.per_second,
            p50_ms=load.p50_ms,
            p99_ms=load.p99_ms,
            errors=load.errors,
            constant=constant,
        )
        print(f"  {_said(measure)}", flush=True)
        self._results.add(measure)


def _said(measure: Measure) -> str:
    return (
        f"{measure.load} {measure.wire}: {measure.per_second:,.0f}/s, p50 {measure.p50_ms:.2f} ms, "
        f"p99 {measure.p99_ms:.2f} ms, {measure.errors} errors"
    )
