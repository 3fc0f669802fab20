"""Results: one file of JSON lines for each run, the machine named in its first line."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Self

FOLDER = Path(__file__).with_name("results")


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One load on one server, with the constant's requests a second just before the server started.

    `load` is `wrk 32`, `wrk 128`, `wrk 1`, `open RATE` or `alone`; `constant` is None where none was taken.
    """

    round: int
    peer: str
    setting: str
    model: str
    wire: str
    load: str
    per_second: float
    p50_ms: float
    p99_ms: float
    errors: int
    constant: float | None


@dataclass(frozen=True, kw_only=True)
class Start:
    """How long a server took to its first answer, and its memory after the loads."""

    round: int
    peer: str
    setting: str
    model: str
    first_answer_s: float
    memory_mb: float


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A server that did not start, hung or died: reported, never left out in silence."""

    round: int
    peer: str
    setting: str
    model: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Counters:
    """A server's own figures after the loads."""

    round: int
    peer: str
    setting: str
    model: str
    figures: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of the smaller benches."""

    name: str
    value: float
    unit: str
    note: str = ""


Line = Measure | Start | Failure | Counters | Figure
KINDS = {kind.__name__.lower(): kind for kind in (Measure, Start, Failure, Counters, Figure)}


class Results:
    """A results file being written; each line is on disk before the next measurement starts."""

    def __init__(self, what: str, machine: Mapping[str, object], folder: Path = FOLDER) -> None:
        self.file = folder / f"{datetime.now(UTC):%Y-%m-%d-%H%M}-{what}.jsonl"
        self._machine = machine

    def __enter__(self) -> Self:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self._open: IO[str] = self.file.open("w")
        self._write(self._machine)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def add(self, line: Line) -> None:
        self._write({"kind": type(line).__name__.lower(), **asdict(line)})

    def _write(self, line: Mapping[str, object]) -> None:
        self._open.write(json.dumps(line) + "\n")
        self._open.flush()


@dataclass(frozen=True, kw_only=True)
class Run:
    """A results file, read back."""

    file: Path
    machine: Mapping[str, Any]
    lines: tuple[Line, ...]

    def measures(self) -> list[Measure]:
        return [line for line in self.lines if isinstance(line, Measure)]


def latest(what: str, folder: Path = FOLDER) -> Run | None:
    files = sorted(folder.glob(f"*-{what}.jsonl"))
    return read(files[-1]) if files else None


def read(file: Path) -> Run:
    machine, *rest = [json.loads(line) for line in file.read_text().splitlines()]
    lines = tuple(KINDS[line.pop("kind")](**line) for line in rest)
    return Run(file=file, machine=machine, lines=lines)
