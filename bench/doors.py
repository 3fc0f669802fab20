"""What the benches of the doors share: a model alone, as its worker asks it, and beside another one."""

import os
import re
import subprocess
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np

from bench.openloop import OpenLoop
from bench.payloads import json_request
from bench.peers.base import Launch, Request
from bench.peers.podium.peer import PROGRAM
from bench.ports import free_port
from bench.processes import Server
from bench.results import Figure, Results
from bench.running import say
from podium import project as projects
from podium.models.loading import Scorer, load
from podium.models.trust import Trust
from podium.registry.folder import FolderRegistry

FRAME, LARGE = 16, 4096
"""Rows of a frame under an ordinary load, and the most that a worker gathers."""

ALONE_SECONDS = 0.3
RATE = 100.0
TRAIN_SECONDS = 120


def keep(project: Path, names: Sequence[str]) -> None:
    """Take the other models out of the project's file."""
    file = project / projects.FILE
    text = file.read_text()
    for name in set(tomllib.loads(text)["models"]) - set(names):
        text = re.sub(rf"^\[models\.{name}\]\n(?:.+\n)*", "", text, flags=re.MULTILINE)
    file.write_text(text)


def environment(project: Path) -> dict[str, str]:
    return {**os.environ, "PODIUM_TRUST": str(project / "trust")}


def train(project: Path) -> None:
    subprocess.run(
        [PROGRAM, "train"],
        cwd=project,
        env=environment(project),
        check=True,
        timeout=TRAIN_SECONDS,
        capture_output=True,
    )


# --- alone ----------------------------------------------------------------------------------


def alone(results: Results, project: Path, name: str, *, sizes: Sequence[int]) -> None:
    """A model as its worker asks it: one batch of each size after the other, and single rows."""
    with _opened(project, name) as scorer:
        for rows in sizes:
            note = "in one frame, one frame after the other"
            figure = Figure(
                name=f"{name}, {rows} rows", value=_rows_per_second(scorer, rows), unit="rows/s", note=note
            )
            say(results, figure)
        say(results, Figure(name=f"{name}, one row, p50", value=_one_row(scorer), unit="µs"))


@contextmanager
def _opened(project: Path, name: str) -> Iterator[Scorer]:
    version = FolderRegistry(project / ".podium" / "registry").find(name)
    scorer = load(version.path, trust=Trust(path=project, lines=frozenset([version.digest])))
    try:
        yield scorer
    finally:
        scorer.close()


def _columns(names: Sequence[str], rows: int) -> Mapping[str, np.ndarray]:
    chance = np.random.default_rng(rows)
    return {name: chance.normal(0, 0.0476, rows) for name in names}


def _rows_per_second(scorer: Scorer, rows: int) -> float:
    columns, count, start = _columns(scorer.inputs.names, rows), 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < ALONE_SECONDS:
        scorer.predict(columns)
        count += rows
    return count / spent


def _one_row(scorer: Scorer) -> float:
    columns, took, end = _columns(scorer.inputs.names, 1), [], time.perf_counter() + ALONE_SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        scorer.predict(columns)
        took.append(time.perf_counter() - start)
    return median(took) * 1e6


# --- on one endpoint ------------------------------------------------------------------------


def together(results: Results, project: Path, names: Sequence[str], *, seconds: float, rounds: int) -> None:
    """Two models on one endpoint, each forced in its turn; the second against the first."""
    keep(project, names)
    body = _row(projects.load(project))
    port = free_port()
    argv = (str(PROGRAM), "up", "--port", str(port))
    launch = Launch(argv=argv, cwd=project, environment=environment(project))
    seen: dict[str, list[float]] = {name: [] for name in names}
    with Server(launch, port, project / "log", core=None) as server:
        for name in names:
            server.first_answer(_forced(name, body))
        for _ in range(rounds):
            for name in names:
                seen[name].append(OpenLoop(port, _forced(name, body), rate=RATE).run(seconds).p50_ms)
        server.stop()
    python, other = (median(seen[name]) for name in names)
    note = f"at {RATE:g}/s, both live, each forced in its turn"
    for name, value in zip(names, (python, other), strict=True):
        say(results, Figure(name=f"{name}, an answer, p50", value=value, unit="ms", note=note))
    more = f"{names[1]}, an answer, p50, more than {names[0]}"
    say(results, Figure(name=more, value=other - python, unit="ms"))


def _forced(name: str, body: Mapping[str, float]) -> Request:
    request = json_request("/score/diabetes", body)
    return Request(path=request.path, body=request.body, headers={**request.headers, "podium-force": name})


def _row(project: projects.Project) -> Mapping[str, float]:
    inputs = project.endpoint.inputs
    assert inputs is not None
    return dict.fromkeys(inputs.names, 0.05)
