"""What Podium is to reach, and what a run says about it; pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.peers.known import MODEL_SERVERS
from bench.results import Figure, Run
from bench.summary import Entry, Summary

PODIUM = Entry(peer="podium", setting="plain")
FASTAPI = Entry(peer="fastapi", setting="plain")
CONSTANT = Entry(peer="constant", setting="constant")
PREDICT = Entry(peer="granian", setting="predict")


@dataclass(frozen=True, kw_only=True)
class Target:
    """One target with its figure; `measured` is None where no run has it yet.

    `plainly` is the same ratio of the plain medians: where the two differ much, the machine was not quiet.
    """

    what: str
    bound: float
    measured: float | None
    at_least: bool
    form: str
    against: str = ""
    plainly: float | None = None

    @property
    def met(self) -> bool | None:
        if self.measured is None:
            return None
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound


def of_run(summary: Summary) -> list[Target]:
    """The targets that are ratios within one run."""
    return [
        _ratio(summary, "linear, 32 connections, against FastAPI + uvicorn", 4, "linear", FASTAPI),
        _against_best(summary, "linear, 32 connections, against the best of them", 7, "linear"),
        _of_constant(summary, 0.5, 32),
        _of_constant(summary, 0.6, 128),
        _against_best(summary, "forest, 32 connections, against the best of them", 8, "forest"),
        _against_best(summary, "1,000 × 10 as JSON, against the best of them so", 1.2, "rows"),
        _binary(summary),
        _one_connection(summary),
    ]


def of_figures(runs: Mapping[str, Run | None]) -> list[Target]:
    """The targets that the smaller benches measure."""
    figures = {
        (what, line.name): line.value
        for what, run in runs.items()
        if run is not None
        for line in run.lines
        if isinstance(line, Figure)
    }
    rows = [
        ("challengers", "p99 with 10 challengers, more than with none", 10, False, "{:+.1f} %"),
        ("callers", "check of a key", 5, False, "{:.2f} µs"),
        ("callers", "requests/s, 32 connections, with a key, less than without", 3, False, "{:+.1f} %"),
        ("import", "podium up to the first answer", 3, False, "{:.2f} s"),
        ("import", "import podium", 0.15, False, "{:.3f} s"),
        ("import", "core install", 300, False, "{:.0f} MB"),
        ("soak", "memory, more than at the start", 5, False, "{:+.1f} %"),
        ("archive", "catch-up", 100_000, True, "{:,.0f} rows/s"),
        ("grpc", "gRPC, linear, 32 calls at a time, against MLServer", 2, True, "{:.2f}×"),
        ("grpc", "gRPC, linear, 128 calls at a time, against MLServer", 2, True, "{:.2f}×"),
        ("compare", "comparison of two contenders", 10, False, "{:.1f} s"),
        ("usage", "all hours made", 60, False, "{:.1f} s"),
        ("policy", "from the change to its use, longest", 1000, False, "{:,.0f} ms"),
        ("replay", "archived requests read", 50_000, True, "{:,.0f} requests/s"),
        ("doors", "node, 16 rows", 30_000, True, "{:,.0f} rows/s"),
    ]
    return [
        Target(what=name, bound=bound, measured=figures.get((what, name)), at_least=at_least, form=form)
        for what, name, bound, at_least, form in rows
    ]


def _ratio(summary: Summary, what: str, bound: float, model: str, other: Entry | None) -> Target:
    return _compare(summary, what, bound, model, "json", other, "json")


def _against_best(summary: Summary, what: str, bound: float, model: str) -> Target:
    return _ratio(summary, what, bound, model, summary.best(MODEL_SERVERS, model, "wrk 32"))


def _binary(summary: Summary) -> Target:
    """Here the best of them takes its better wire: a binary one that is slower than its JSON is no rival."""
    what = "1,000 × 10 as binary tensors, against the best of them on its better wire"
    rated = [
        (rate, entry, wire)
        for wire in ("json", "binary")
        if (entry := summary.best(MODEL_SERVERS, "rows", "wrk 32", wire)) is not None
        if (rate := summary.relative(entry, "rows", "wrk 32", wire)) is not None
    ]
    _, best, wire = max(rated, default=(None, None, "json"))
    return _compare(summary, what, 3, "rows", "binary", best, wire)


def _compare(
    summary: Summary, what: str, bound: float, model: str, wire: str, other: Entry | None, its_wire: str
) -> Target:
    load = "wrk 32"
    return Target(
        what=what,
        bound=bound,
        measured=_quotient(
            summary.relative(PODIUM, model, load, wire),
            summary.relative(other, model, load, its_wire) if other else None,
        ),
        plainly=_quotient(
            summary.per_second(PODIUM, model, load, wire),
            summary.per_second(other, model, load, its_wire) if other else None,
        ),
        at_least=True,
        form="{:.2f}×",
        against=f"{other.peer}, {other.setting}, {its_wire}" if other else "",
    )


def _of_constant(summary: Summary, bound: float, connections: int) -> Target:
    load = f"wrk {connections}"
    return Target(
        what=f"linear, {connections} connections, against granian's constant",
        bound=bound,
        measured=summary.relative(PODIUM, "linear", load),
        plainly=_quotient(
            summary.per_second(PODIUM, "linear", load), summary.per_second(CONSTANT, "linear", load)
        ),
        at_least=True,
        form="{:.2f}×",
    )


def _quotient(mine: float | None, theirs: float | None) -> float | None:
    return mine / theirs if mine is not None and theirs else None


def _one_connection(summary: Summary) -> Target:
    mine = summary.p50_ms(PODIUM, "linear", "wrk 1")
    theirs = summary.p50_ms(PREDICT, "linear", "wrk 1")
    return Target(
        what="one connection, p50, more than granian + predict in the handler",
        bound=0.4,
        measured=mine - theirs if mine and theirs else None,
        at_least=False,
        form="{:+.2f} ms",
    )
