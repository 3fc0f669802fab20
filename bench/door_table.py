"""The doors' table of `docs/benchmarks.md`, from one run of `bench doors`; pure."""

from collections.abc import Iterator
from statistics import median

from bench.results import Failure, Figure, Run

PYTHON = "python"
METHOD = """\
First the model alone, as its worker asks it: rows in batches of 16 and 4,096 (256 where the protocol takes
one row a request), and one row by itself. A worker on the stream cannot be asked so. Then the whole endpoint,
from HTTP request to answer: the model and the Python model are both live on it and each is forced in its
turn, 32 requests at a time and one at a time. What is *more than Python* is the difference between the two on
the same endpoint. All processes and the load share all cores."""
HEAD = (
    "model",
    "door",
    "rows/s, batches of 16",
    "of 4,096",
    "one row, p50",
    "requests/s, whole endpoint",
    "Python's there",
    "one at a time, p50",
    "more than Python",
    "p99",
    "more than Python",
    "errors",
)


def rows(run: Run) -> Iterator[tuple[str, ...]]:
    """The Python model alone, then each door in the order of the run."""
    alone = {line.name: line.value for line in run.lines if isinstance(line, Figure)}
    yield (PYTHON, "package", *_alone(alone, PYTHON), *["–"] * 7)
    failed = {line.peer for line in run.lines if isinstance(line, Failure)}
    for name in dict.fromkeys(line.peer for line in run.measures()):
        if name not in failed:
            yield (name, *_door(run, name, alone))


def failures(run: Run) -> Iterator[str]:
    return (f"{line.peer}: {line.reason}" for line in run.lines if isinstance(line, Failure))


def _door(run: Run, name: str, alone: dict[str, float]) -> tuple[str, ...]:
    taken = [line for line in run.measures() if line.peer == name]
    kind = next(line.setting for line in taken if line.setting != PYTHON)

    def found(setting: str, load: str, figure: str) -> float:
        return median(getattr(line, figure) for line in taken if (line.setting, line.load) == (setting, load))

    latency = []
    for figure in ("p50_ms", "p99_ms"):
        mine, python = found(kind, "wrk 1", figure), found(PYTHON, "wrk 1", figure)
        latency += [f"{mine:.2f} ms", f"{mine - python:+.2f} ms"]
    return (
        kind,
        *_alone(alone, name),
        *(f"{found(setting, 'wrk 32', 'per_second'):,.0f}" for setting in (kind, PYTHON)),
        *latency,
        str(sum(line.errors for line in taken) or "–"),
    )


def _alone(figures: dict[str, float], name: str) -> tuple[str, str, str]:
    large = figures.get(f"{name}, 4096 rows", figures.get(f"{name}, 256 rows"))
    single = figures.get(f"{name}, one row, p50")
    return (
        _whole(figures.get(f"{name}, 16 rows")),
        _whole(large),
        "–" if single is None else f"{single:,.0f} µs",
    )


def _whole(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"
