"""`bench process`: what a model in another language costs beside one in Python.

The models are those of `examples/languages`, as far as their languages are installed. First each is asked
alone, as its worker asks it. Then two run on one endpoint, and each is forced in its turn, so that its own
time is seen.
"""

import os
import re
import shutil
import subprocess
import time
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
from bench.running import recording, say
from bench.serving import scratch
from podium import project as projects
from podium.models.loading import Scorer, load
from podium.models.trust import Trust
from podium.registry.folder import FolderRegistry

EXAMPLES = Path(__file__).parent.parent / "examples" / "languages"
TOGETHER = ("python", "node")
FRAME, LARGE = 16, 4096
"""Rows of a frame under an ordinary load, and the most that a worker gathers."""

ALONE_SECONDS = 0.3
TRAIN_SECONDS = 120
RATE = 100.0


def measure(folder: Path, *, seconds: float, rounds: int) -> None:
    with recording("process", folder, seconds=seconds, rounds=rounds) as results, scratch() as place:
        project = place / "project"
        names = _prepare(project)
        for name in names:
            _alone(results, project, name)
        if set(names) >= set(TOGETHER):
            _together(results, project, seconds=seconds, rounds=rounds)


def _prepare(project: Path) -> list[str]:
    """The examples, trained, without those whose language is not here."""
    shutil.copytree(EXAMPLES, project)
    models = projects.load(project).models
    _keep(
        project, [name for name, model in models.items() if model.command is None or _is_here(model.command)]
    )
    train, environment = [PROGRAM, "train"], _environment(project)
    subprocess.run(
        train, cwd=project, env=environment, check=True, timeout=TRAIN_SECONDS, capture_output=True
    )
    return list(projects.load(project).models)


def _is_here(command: projects.Command) -> bool:
    programs = [words[0] for words in (command.argv, command.build) if words and "/" not in words[0]]
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        print(f"left out: there is no {', '.join(missing)}", flush=True)
    return not missing


def _keep(project: Path, names: Sequence[str]) -> None:
    """Take the other models out of the project's file."""
    file = project / projects.FILE
    text = file.read_text()
    for name in set(projects.load(project).models) - set(names):
        text = re.sub(rf"^\[models\.{name}\]\n(?:.+\n)*", "", text, flags=re.MULTILINE)
    file.write_text(text)


def _environment(project: Path) -> dict[str, str]:
    return {**os.environ, "PODIUM_TRUST": str(project / "trust")}


# --- alone ----------------------------------------------------------------------------------


def _alone(results: Results, project: Path, name: str) -> None:
    with _opened(project, name) as scorer:
        for rows in (FRAME, LARGE):
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


def _columns(rows: int) -> Mapping[str, np.ndarray]:
    chance = np.random.default_rng(rows)
    return {name: chance.normal(0, 0.0476, rows) for name in ("bmi", "s5")}


def _rows_per_second(scorer: Scorer, rows: int) -> float:
    columns, count, start = _columns(rows), 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < ALONE_SECONDS:
        scorer.predict(columns)
        count += rows
    return count / spent


def _one_row(scorer: Scorer) -> float:
    columns, took, end = _columns(1), [], time.perf_counter() + ALONE_SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        scorer.predict(columns)
        took.append(time.perf_counter() - start)
    return median(took) * 1e6


# --- on one endpoint ------------------------------------------------------------------------


def _together(results: Results, project: Path, *, seconds: float, rounds: int) -> None:
    _keep(project, TOGETHER)
    port = free_port()
    argv = (str(PROGRAM), "up", "--port", str(port))
    launch = Launch(argv=argv, cwd=project, environment={"PODIUM_TRUST": str(project / "trust")})
    seen: dict[str, list[float]] = {name: [] for name in TOGETHER}
    with Server(launch, port, project / "log", core=None) as server:
        for name in TOGETHER:
            server.first_answer(_forced(name))
        for _ in range(rounds):
            for name in TOGETHER:
                seen[name].append(OpenLoop(port, _forced(name), rate=RATE).run(seconds).p50_ms)
        server.stop()
    python, other = (median(seen[name]) for name in TOGETHER)
    note = f"at {RATE:g}/s, both live, each forced in its turn"
    for name, value in zip(TOGETHER, (python, other), strict=True):
        say(results, Figure(name=f"{name}, an answer, p50", value=value, unit="ms", note=note))
    more = f"{TOGETHER[1]}, an answer, p50, more than {TOGETHER[0]}"
    say(results, Figure(name=more, value=other - python, unit="ms"))


def _forced(name: str) -> Request:
    request = json_request("/score/diabetes", {"bmi": 0.05, "s5": 0.01})
    return Request(path=request.path, body=request.body, headers={**request.headers, "podium-force": name})
