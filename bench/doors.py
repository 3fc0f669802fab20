"""`bench doors`: what each door costs beside a Python worker, all of them in one run.

First each model is asked alone, as its worker asks it: batches, and single rows. (A worker on the stream
cannot be asked so.) Then each is on an endpoint of its own beside the Python model, both live, and the two
are forced in turn with the same load, so that the difference is the door's. A language or a server that is
not installed is left out, by name.
"""

import os
import re
import shutil
import subprocess
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from bench import door_servers
from bench.payloads import json_request
from bench.peers.base import Launch, Request
from bench.peers.podium.peer import PROGRAM
from bench.ports import free_port
from bench.processes import NoAnswer, Server, ask
from bench.results import Failure, Figure, Measure, Results
from bench.running import recording, say
from bench.serving import scratch
from bench.wrk import Hung, Load, wrk
from podium import project as projects
from podium.models.loading import Scorer, load
from podium.models.trust import Trust
from podium.registry.folder import FolderRegistry
from podium.servers import ROW_BATCH

EXAMPLES = Path(__file__).parent.parent / "examples"
GO_LIBRARY = Path("/usr/share/gocode/src/github.com/nats-io/nats.go")
PYTHON = "python"
STREAM = "stream-"
"""Before the names of the workers on the stream: there is a process in the same language."""

FRAME, LARGE = 16, 4096
"""Rows of a frame under an ordinary load, and the most that a worker gathers."""

CONNECTIONS = (1, 32)
"""One request at a time for the latency, many for the throughput."""

MODEL = "linear"
ALONE_SECONDS = 0.3
WARM_SECONDS = 1
DRAIN_SECONDS = 20
TRAIN_SECONDS = 180


@dataclass(frozen=True, kw_only=True)
class Door:
    """A model of a trained project that also has the Python model; `kind` is what it answers through."""

    name: str
    kind: str
    project: Path


def measure(folder: Path, *, seconds: float, rounds: int, only: Sequence[str] | None) -> None:
    with ExitStack() as stack:
        place = stack.enter_context(scratch())
        doors = [*_languages(place / "languages", only), *_servers(stack, place / "servers", only)]
        results = stack.enter_context(recording("doors", folder, seconds=seconds, rounds=rounds))
        for door in doors:
            if door.kind != "stream":
                alone(results, door)
        for door in doors:
            if door.name != PYTHON:
                _try_beside(results, door, place / f"beside-{door.name}", seconds=seconds, rounds=rounds)


# --- what there is --------------------------------------------------------------------------


def _languages(folder: Path, only: Sequence[str] | None) -> list[Door]:
    """The examples of every language, those on the stream too, as far as their languages are installed."""
    shutil.copytree(EXAMPLES / "languages", folder)
    streams = EXAMPLES / "stream"
    text = (streams / projects.FILE).read_text()
    with (folder / projects.FILE).open("a") as file:
        for language in ("node", "go"):
            shutil.copytree(streams / language, folder / language)
            file.write("\n" + table_of(text, language).replace("[models.", f"[models.{STREAM}", 1))
    lengthen(folder)
    models = projects.load(folder).models
    keep(folder, [name for name in models if _wanted(name, only) and _is_here(name, models[name])])
    train(folder)
    kinds = {name: _kind(model) for name, model in projects.load(folder).models.items()}
    return [Door(name=name, kind=kind, project=folder) for name, kind in kinds.items()]


def _servers(stack: ExitStack, folder: Path, only: Sequence[str] | None) -> list[Door]:
    """The servers that are installed here, running."""
    names = [name for name in door_servers.NAMES if _wanted(name, only)]
    tables = dict(door_servers.started(stack, folder, names))
    if not tables:
        return []
    project = folder / "project"
    door_servers.project(project, tables)
    train(project)
    return [Door(name=name, kind="server", project=project) for name in tables]


def _wanted(name: str, only: Sequence[str] | None) -> bool:
    return only is None or name == PYTHON or name in only


def _is_here(name: str, model: projects.ModelSettings) -> bool:
    command = model.command
    if command is None:
        return True
    programs = [words[0] for words in (command.argv, command.build) if words and "/" not in words[0]]
    programs += ["go"] if name == f"{STREAM}go" else []
    missing = [program for program in programs if shutil.which(program) is None]
    if name == f"{STREAM}go" and not GO_LIBRARY.exists():
        missing.append("golang-github-nats-io-go-nats-dev")
    if missing:
        print(f"left out: {name}, there is no {', '.join(missing)}", flush=True)
    return not missing


def _kind(model: projects.ModelSettings) -> str:
    if model.sql is not None:
        return "SQL"
    if model.command is None:
        return "package"
    return "stream" if model.command.stream else "process"


# --- its project ----------------------------------------------------------------------------


def table_of(text: str, name: str) -> str:
    """A model's table in the text of a project's file."""
    found = re.search(rf"^\[models\.{name}\]\n(?:.+\n?)*", text, flags=re.MULTILINE)
    assert found is not None
    return found[0]


def keep(project: Path, names: Sequence[str]) -> None:
    """Take the other models out of the project's file."""
    file = project / projects.FILE
    text = file.read_text()
    for name in set(tomllib.loads(text)["models"]) - set(names):
        text = text.replace(table_of(text, name), "")
    file.write_text(text)


def lengthen(project: Path) -> None:
    """Long enough that no answer is the default one at the most load: a default answer is no work."""
    file = project / projects.FILE
    file.write_text(re.sub(r'^deadline = ".*"', 'deadline = "2s"', file.read_text(), flags=re.MULTILINE))


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


def alone(results: Results, door: Door) -> None:
    """A model as its worker asks it: one batch of each size after the other, and single rows."""
    with _opened(door) as scorer:
        for rows in (FRAME, ROW_BATCH if door.name == "flask" else LARGE):
            note = "in one frame, one frame after the other"
            value = _rows_per_second(scorer, rows)
            say(results, Figure(name=f"{door.name}, {rows} rows", value=value, unit="rows/s", note=note))
        say(results, Figure(name=f"{door.name}, one row, p50", value=_one_row(scorer), unit="µs"))


@contextmanager
def _opened(door: Door) -> Iterator[Scorer]:
    version = FolderRegistry(door.project / ".podium" / "registry").find(door.name)
    scorer = load(version.path, trust=Trust(path=door.project, lines=frozenset([version.digest])))
    try:
        yield scorer
    finally:
        scorer.close()


def _columns(names: Sequence[str], rows: int) -> Mapping[str, np.ndarray]:
    chance = np.random.default_rng(rows)
    return {name: chance.normal(0, 0.0476, rows) for name in names}


def _rows_per_second(scorer: Scorer, rows: int) -> float:
    columns = _columns(scorer.inputs.names, rows)
    scorer.predict(columns)  # some compile what they are asked for the first time
    count, start = 0, time.perf_counter()
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


def _try_beside(results: Results, door: Door, folder: Path, *, seconds: float, rounds: int) -> None:
    """One that fails is a line of the results, and the others are measured all the same."""
    try:
        beside(results, door, folder, seconds=seconds, rounds=rounds)
    except (Hung, NoAnswer, OSError) as error:
        print(f"{door.name}: {error}", flush=True)
        reason = str(error)
        failure = Failure(round=0, peer=door.name, setting=door.kind, model=MODEL, reason=reason)
        results.add(failure)


def beside(results: Results, door: Door, folder: Path, *, seconds: float, rounds: int) -> None:
    """It and the Python model on one endpoint, each forced in its turn."""
    shutil.copytree(door.project, folder, symlinks=True)  # with no policy and no counts of an earlier one
    keep(folder, (PYTHON, door.name))
    inputs = projects.load(folder).endpoint.inputs
    assert inputs is not None
    body = dict.fromkeys(inputs.names, 0.05)
    requests = {name: _forced(name, body) for name in (PYTHON, door.name)}
    port = free_port()
    argv = (str(PROGRAM), "up", "--port", str(port))
    launch = Launch(argv=argv, cwd=folder, environment=environment(folder))
    with Server(launch, port, folder / "log", core=None) as server:
        for request in requests.values():
            server.first_answer(request)
            wrk(port, request, folder, connections=CONNECTIONS[-1], seconds=WARM_SECONDS)
        for number in range(rounds):
            for connections in CONNECTIONS:
                for name, request in requests.items():
                    _drain(port, requests[door.name])
                    found = wrk(port, request, folder, connections=connections, seconds=seconds)
                    _keep(results, door, number, name, connections, found)
        server.stop()


def _drain(port: int, request: Request) -> None:
    """Wait for what a load on Python left for a slower one: it scores everything, whoever is forced."""
    end = time.monotonic() + DRAIN_SECONDS
    while (answered := ask(port, request)) != "200":
        if time.monotonic() > end:
            raise NoAnswer(f"between two loads: {answered}")
        time.sleep(0.1)


def _keep(results: Results, door: Door, number: int, name: str, connections: int, found: Load) -> None:
    speed = f"{found.per_second:,.0f}/s, p50 {found.p50_ms:.2f} ms, p99 {found.p99_ms:.2f} ms"
    print(f"{door.name}: {name}, {connections} at a time: {speed}", flush=True)
    results.add(
        Measure(
            round=number,
            peer=door.name,
            setting=PYTHON if name == PYTHON else door.kind,
            model=MODEL,
            wire="json",
            load=f"wrk {connections}",
            per_second=found.per_second,
            p50_ms=found.p50_ms,
            p99_ms=found.p99_ms,
            errors=found.errors,
            constant=None,
        )
    )


def _forced(name: str, body: Mapping[str, float]) -> Request:
    request = json_request("/score/diabetes", body)
    return Request(path=request.path, body=request.body, headers={**request.headers, "podium-force": name})
