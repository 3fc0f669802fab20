"""`podium status`: what runs, what it has answered, and what is wrong with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click
import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from podium import failures
from podium import project as projects
from podium import run as runs
from podium.archive import drift_report
from podium.archive.drift_report import DriftReport, LiveDrift
from podium.cli.columns import aligned
from podium.cli.endpoints import check_endpoint
from podium.cli.policy import wanted
from podium.counters import Counts, distribution, merged, total
from podium.errors import NotRunning, PodiumError
from podium.failures import Failure
from podium.node.process import log_name
from podium.node.state import RUN, EndpointState, ProcessReport, ProcessState, running
from podium.records import Contender, Policy, Role
from podium.rendezvous.changes import differences
from podium.run import Run

REFRESH_SECONDS = 1.0
READY = "ready"
_NO_DRIFT = DriftReport()
DRIFT_SHOWN = 3
"""Columns of a contender that are named in words; the JSON has all."""

_URGENT = (ProcessState.CRASH_LOOPING, ProcessState.BACKING_OFF, ProcessState.STARTING, ProcessState.STOPPED)


class ContenderStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One contender. Counts are requests; `disagreement` is the part of compared rows in which its
    score was not the champion's, None where none was compared. `drift` is how far each of its inputs
    and scores is from training, the worst first; nothing where that is not known. `last_error` is what it
    last failed with since the node was started, `last_error_at` in seconds since the epoch."""

    model: str
    version: str | None
    number: int | None
    role: Role
    share: float | None = None
    state: str
    scored: int
    late: int
    errors: int
    answered: int
    p50_ms: float | None
    p99_ms: float | None
    disagreement: float | None
    drift: tuple[LiveDrift, ...] = ()
    last_error: str | None = None
    last_error_at: float | None = None


class FeaturesStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Looked-up features, of all time: `rows` that were looked up, and those that have a default since a
    lookup was `late`, `failed`, found nothing (`missing`) or no such value (`wrong`).

    `stale` says that a gateway cannot read the table now.
    """

    rows: int
    late: int
    failed: int
    missing: int
    wrong: int
    stale: bool

    @property
    def defaulted(self) -> int:
        return self.late + self.failed + self.missing + self.wrong


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint, all-time counts of requests, its contenders and processes.

    `in_use` is the newest revision that a gateway uses, more than `revision` where a full disk keeps the
    node from writing down what is live. `outcomes` counts rows of ground truth that were taken,
    `outcomes_archived` those in the tables. `unkept` counts messages that the stream could not keep,
    `overdue` those that it does not confirm now, `dead_letters` those that it has put aside (Service Bus);
    `archive_failing` says that the archiver cannot write its tables now. `drift_window_s` is how far back
    each contender's drift looks. `unapplied` is what `podium apply` would change to make the live policy
    what the project file says. `features` is None where nothing is looked up. `cluster` is the kubeconfig's
    context where it runs, None on this machine: counts are then of the pods that run now, and `uncounted`
    says of which they are missing.
    """

    endpoint: str
    ready: bool
    revision: int
    in_use: int
    url: str
    grpc: str | None = None
    received: int
    answered: int
    defaulted: int
    refused: int
    archived: int
    outcomes: int
    outcomes_archived: int
    unkept: int
    overdue: int
    dead_letters: int = 0
    archive_failing: bool
    drift_window_s: float
    unapplied: tuple[str, ...] = ()
    cluster: str | None = None
    uncounted: tuple[str, ...] = ()
    features: FeaturesStatus | None = None
    contenders: tuple[ContenderStatus, ...]
    processes: tuple[ProcessReport, ...]


@click.command()
@click.argument("endpoint", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--watch", "-w", is_flag=True, help="Refresh each second, with rates, until Ctrl-C.")
@click.option("--context", help="The endpoint on this cluster: a context of the kubeconfig.")
def status(endpoint: str | None, as_json: bool, watch: bool, context: str | None) -> None:
    """Show the endpoint: contenders, counts, latencies, processes, and what to do about trouble."""
    with _looking(projects.find(Path.cwd()), endpoint, context) as look:
        found = look()
        if as_json:
            click.echo(msgspec.json.encode(found).decode())
        elif watch:
            _watch(found, look)
        elif (console := Console()).is_terminal:
            console.print(_table(found, None))
        else:
            for line in plain(found):
                click.echo(line)


@contextmanager
def _looking(folder: Path, endpoint: str | None, context: str | None) -> Iterator[Callable[[], Status]]:
    """How to look: at the node of this project, or at its endpoint on a cluster."""
    if context is None:
        yield partial(read, folder, endpoint)
        return
    from podium.cli.cluster_status import ClusterView  # an extra, and slow to import

    with ClusterView(projects.load(folder), endpoint, context) as view:

        def look() -> Status:
            seen = view.look()
            found = _with_failures(of(seen.run, seen.state, seen.counts, seen.drift), seen.failures)
            more = {"cluster": view.name, "uncounted": seen.uncounted}
            return msgspec.structs.replace(found, unapplied=_unapplied(folder, seen.run.policy), **more)

        yield look


def read(folder: Path, endpoint: str | None = None) -> Status:
    """The status of the node of this project. Raises NotRunning, NotFound."""
    run_dir = folder / projects.RUN_DIR
    state = running(run_dir)
    try:
        run = runs.load(run_dir / RUN)
    except (OSError, msgspec.MsgspecError) as error:
        raise NotRunning(
            f"{run_dir / RUN} cannot be read ({error}); `podium down`, then `podium up`"
        ) from None
    check_endpoint(endpoint, run.endpoint)
    found = of(run, state, merged(run.counters), drift_report.read(run.counters))
    found = _with_failures(found, failures.all_of(run.counters))
    return msgspec.structs.replace(found, unapplied=_unapplied(folder, run.policy))


def _with_failures(found: Status, last: Mapping[str, Failure]) -> Status:
    contenders = tuple(
        msgspec.structs.replace(contender, last_error=failure.error, last_error_at=failure.at)
        if (failure := last.get(_name(contender)))
        else contender
        for contender in found.contenders
    )
    return msgspec.structs.replace(found, contenders=contenders)


def _unapplied(folder: Path, live: Policy) -> tuple[str, ...]:
    try:
        return tuple(differences(live, wanted(projects.load(folder), live)))
    except PodiumError as error:
        return (f"it cannot be applied: {error}",)


# --- from counts and states -----------------------------------------------------------------


def of(run: Run, state: EndpointState, counts: Counts, drift: DriftReport = _NO_DRIFT) -> Status:
    """What the counts, the state of its processes and the archiver's report say about a run."""
    contenders = tuple(_contender(contender, state, counts, drift) for contender in run.policy.contenders)
    return Status(
        endpoint=run.endpoint,
        ready=state.ready and all(contender.state == READY for contender in contenders),
        revision=run.policy.revision,
        in_use=total(counts, "revision"),
        url=state.url,
        grpc=state.grpc,
        received=total(counts, "received"),
        answered=total(counts, "answered"),
        defaulted=total(counts, "defaulted"),
        refused=total(counts, "refused"),
        archived=total(counts, "archived"),
        outcomes=total(counts, "outcomes"),
        outcomes_archived=total(counts, "outcomes_archived"),
        unkept=total(counts, "unkept"),
        overdue=total(counts, "overdue"),
        dead_letters=total(counts, "dead_letters"),
        archive_failing=total(counts, "archive_failing") > 0,
        drift_window_s=run.drift_window_s,
        features=_features(counts) if run.features else None,
        contenders=contenders,
        processes=state.processes,
    )


def _features(counts: Counts) -> FeaturesStatus:
    late, failed, missing, wrong = (
        total(counts, "features_defaulted", reason=reason)
        for reason in ("late", "failed", "missing", "wrong")
    )
    return FeaturesStatus(
        rows=total(counts, "feature_rows"),
        late=late,
        failed=failed,
        missing=missing,
        wrong=wrong,
        stale=total(counts, "features_stale") > 0,
    )


def _contender(
    contender: Contender, state: EndpointState, counts: Counts, drift: DriftReport
) -> ContenderStatus:
    labels = {"model": contender.model, "version": contender.version}
    latency = distribution(counts, "score_ms", **labels)
    compared = total(counts, "compared", **labels)
    agreed = total(counts, "agreed", **labels)
    return ContenderStatus(
        model=contender.model,
        version=contender.version or None,
        number=contender.number or None,
        role=contender.role,
        share=contender.share,
        state=_state_of([p.state for p in state.processes if p.contender == contender.name]),
        scored=total(counts, "scored", **labels),
        late=total(counts, "late", **labels),
        errors=total(counts, "errors", **labels),
        answered=total(counts, "answered_by", **labels),
        p50_ms=_rounded(latency.quantile(0.5)),
        p99_ms=_rounded(latency.quantile(0.99)),
        disagreement=round(1 - agreed / compared, 6) if compared else None,
        drift=drift.of(contender.model, contender.version),
    )


def _state_of(states: Sequence[ProcessState]) -> str:
    """One process that is there is enough to be scored by it; else the state that says most."""
    if ProcessState.RUNNING in states:
        return READY
    return next((state.value for state in _URGENT if state in states), ProcessState.STOPPED.value)


def _rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 3)


# --- in words -------------------------------------------------------------------------------


def plain(found: Status) -> Iterator[str]:
    """Lines for a pipe or a file."""
    yield _headline(found)
    yield _counts_line(found)
    if found.features:
        yield _features_line(found.features)
    rows = [CONTENDER_COLUMNS, *(_contender_row(contender) for contender in found.contenders)]
    yield from ("", *aligned(rows))
    rows = [PROCESS_COLUMNS, *(_process_row(process) for process in found.processes)]
    yield from ("", *aligned(rows))
    if advice := [*trouble(found), *failed(found), *drift(found), *unapplied(found)]:
        yield from ("", *advice)


CONTENDER_COLUMNS = (
    "contender", "role", "state", "scored", "answered", "late", "errors", "p50 ms", "p99 ms", "disagrees",
)  # fmt: skip
PROCESS_COLUMNS = ("process", "pid", "state", "restarts", "MB")


def _headline(found: Status) -> str:
    ready = "ready" if found.ready else "not ready"
    grpc = f" and, for gRPC, {found.grpc}" if found.grpc else ""
    return f"{found.endpoint} at {found.url}{grpc}: {ready}, revision {found.revision}"


def _counts_line(found: Status) -> str:
    return (
        f"received {found.received:,}, answered {found.answered:,} ({found.defaulted:,} with the default), "
        f"refused {found.refused:,}, archived {found.archived:,}"
        + (f"; outcomes {found.outcomes:,}, archived {found.outcomes_archived:,}" if found.outcomes else "")
    )


def _features_line(features: FeaturesStatus) -> str:
    return (
        f"features of {features.rows:,} rows, {features.defaulted:,} with a default: {features.late:,} late, "
        f"{features.failed:,} failed, {features.missing:,} missing, {features.wrong:,} wrong"
    )


def _name(contender: ContenderStatus) -> str:
    return contender.model if contender.version is None else f"{contender.model}@{contender.version}"


def _contender_row(contender: ContenderStatus) -> tuple[str, ...]:
    disagreement = "" if contender.disagreement is None else f"{contender.disagreement:.2%}"
    return (
        _name(contender),
        contender.role.value + (f" {contender.share * 100:g}%" if contender.share else ""),
        contender.state,
        *(f"{n:,}" for n in (contender.scored, contender.answered, contender.late, contender.errors)),
        *("" if ms is None else f"{ms:.2f}" for ms in (contender.p50_ms, contender.p99_ms)),
        disagreement,
    )


def _process_row(process: ProcessReport) -> tuple[str, ...]:
    numbers = (process.pid, process.restarts, process.rss_mb)
    pid, restarts, memory = ("" if number is None else str(number) for number in numbers)
    return process.name, pid, process.state.value, restarts, memory


def trouble(found: Status) -> Iterator[str]:
    """What is wrong, loudest first, each with what to do."""
    often = "" if found.cluster else "; often the disk is full (`podium doctor`)"
    if found.archive_failing:
        yield (
            "ARCHIVING FAILS: answers go on, and what they said waits in the stream. The reason is in "
            f"{_log(found, 'archiver')}{often}"
        )
    if found.overdue:
        yield (
            "THE STREAM KEEPS NOTHING: answers go on, and what they said waits in memory, up to 64 MB for "
            f"each process. The reason is in {_log(found, 'broker')}{often}"
        )
    if found.features and found.features.stale:
        yield (
            "THE TABLE OF FEATURES CANNOT BE READ: requests have what was known before, or defaults. "
            f"The reason is in the gateways' logs, {_logs(found)}"
        )
    if found.in_use > found.revision:
        yield (
            f"REVISION {found.in_use} IS IN USE, and revision {found.revision} is shown here: the node "
            "cannot write .podium/run/run.json; often the disk is full (`podium doctor`)"
        )
    if found.unkept:
        yield (
            f"{found.unkept:,} messages could not be kept and will be missing in the archive: "
            f"see {_logs(found)}{often}"
        )
    for line in found.uncounted:
        yield f"COUNTS ARE MISSING: {line}"
    if found.dead_letters:
        yield (
            f"{found.dead_letters:,} messages are dead letters: nobody could use them, or workers ended "
            "again and again with them. Service Bus keeps them, with the reason, below their subscriptions"
        )
    for process in found.processes:
        if words := _about(process, found):
            yield words


def failed(found: Status) -> Iterator[str]:
    """What each contender last failed with, a line each."""
    lines = [_failure_line(contender) for contender in found.contenders if contender.last_error]
    if lines:
        yield "Last errors; the `error` column of the archive's `scores` has all of them:"
        yield from (f"  {line}" for line in lines)


def _failure_line(contender: ContenderStatus) -> str:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(contender.last_error_at))
    return f"{_name(contender)}, {at}: {' '.join((contender.last_error or '').split())}"


def drift(found: Status) -> Iterator[str]:
    """Whose inputs or scores are not what they were in training, a line each."""
    lines = [line for contender in found.contenders if (line := _drift_line(contender))]
    if lines:
        yield f"Not as in training, in the last {found.drift_window_s:g} s:"
        yield from (f"  {line}" for line in lines)


def _drift_line(contender: ContenderStatus) -> str:
    far = [_drift_words(column) for column in contender.drift if column.level in ("moved", "drifted")]
    if len(far) > DRIFT_SHOWN:
        far[DRIFT_SHOWN:] = [f"and {len(far) - DRIFT_SHOWN} more (`podium status --json`)"]
    return f"{_name(contender)}: {'; '.join(far)}" if far else ""


def _drift_words(column: LiveDrift) -> str:
    name = f"its score {column.column}" if column.part == "score" else column.column
    figures = [f"PSI {column.psi:.2f}", *([] if column.ks is None else [f"KS {column.ks:.2f}"])]
    for part, before, now in (
        ("missing", column.missing_before, column.missing_now),
        ("others", column.others_before, column.others_now),
    ):
        if now != before:
            figures.append(f"{part} {before:.1%} → {now:.1%}")
    return f"{name} {column.level} ({', '.join(figures)})"


def unapplied(found: Status) -> Iterator[str]:
    """How the live policy and the project file differ, if they do."""
    if found.unapplied:
        yield f"{projects.FILE} differs from the live policy (`podium plan`, `podium apply`):"
        yield from (f"  {line}" for line in found.unapplied)


def _about(process: ProcessReport, found: Status) -> str | None:
    log = _log(found, process.name)
    match process.state:
        case ProcessState.CRASH_LOOPING:
            return (
                f"{process.name} keeps crashing ({process.reason}); {log} says why. "
                f"It is tried again every few seconds{_new_version(process.name)}"
            )
        case ProcessState.BACKING_OFF if found.cluster:
            return f"{process.name} does not start: {process.reason}"
        case ProcessState.STARTING if found.cluster and process.reason:
            return f"{process.name} is starting: {process.reason}"
        case ProcessState.BACKING_OFF:
            return f"{process.name}: {process.reason}; it is started again in a moment"
        case ProcessState.STARTING:
            return f"{process.name} is starting; if that takes long, {log} says why"
        case _:
            return None


def _log(found: Status, process: str) -> str:
    """Where to read what it says: a file, or the command for a pod, whose name is the last word."""
    if found.cluster is None:
        return f".podium/logs/{log_name(process)}"
    return f"`podium logs {process.rpartition(' ')[2]} --context {found.cluster}`"


def _logs(found: Status) -> str:
    return ".podium/logs" if found.cluster is None else f"`podium logs --context {found.cluster}`"


def _new_version(process: str) -> str:
    kind, _, rest = process.partition(" ")
    model = rest.rpartition(" ")[0]
    return (
        f"; `podium train {model}` makes a new version, which `podium join` lets in"
        if kind == "worker"
        else ""
    )


# --- on a terminal --------------------------------------------------------------------------


def _watch(before: Status, look: Callable[[], Status]) -> None:
    then = time.monotonic()
    with Live(_table(before, None), auto_refresh=False, screen=False) as live:
        try:
            while True:
                time.sleep(REFRESH_SECONDS)
                found, now = look(), time.monotonic()  # a cluster takes its time to say
                live.update(_table(found, before, now - then), refresh=True)
                before, then = found, now
        except KeyboardInterrupt:
            return


def _table(found: Status, before: Status | None, seconds: float = REFRESH_SECONDS) -> RenderableType:
    contenders = Table(*CONTENDER_COLUMNS, *(("per s",) if before else ()), box=None, pad_edge=False)
    was = {(c.model, c.version): c.scored for c in before.contenders} if before else {}
    for contender in found.contenders:
        scored = was.get((contender.model, contender.version), 0)
        rate = (_rate(contender.scored, scored, seconds),) if before else ()
        contenders.add_row(*_contender_row(contender), *rate, style=_style(contender.state))
    processes = Table(*PROCESS_COLUMNS, box=None, pad_edge=False)
    for process in found.processes:
        processes.add_row(*_process_row(process), style=_style(process.state.value))
    answers = f", {_rate(found.answered, before.answered, seconds)} answers/s" if before else ""
    return Group(
        Text(_headline(found), style="bold green" if found.ready else "bold yellow"),
        Text(_counts_line(found) + answers),
        *([Text(_features_line(found.features))] if found.features else []),
        Text(),
        contenders,
        Text(),
        processes,
        *(Text(line, style="bold red") for line in trouble(found)),
        *(Text(line, style="yellow") for line in (*failed(found), *drift(found), *unapplied(found))),
    )


def _rate(now: int, before: int, seconds: float) -> str:
    return f"{max(0, now - before) / seconds:,.0f}"


def _style(state: str) -> str:
    if state in (READY, ProcessState.RUNNING):
        return ""
    return "red" if state == ProcessState.CRASH_LOOPING else "yellow"
