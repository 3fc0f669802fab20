"""A comparison of two contenders in words and tables, for a terminal and for the page alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from podium.period import moment_of
from podium.period import shown as shown_time
from podium.reports.words import NOTHING, cut, figure, percent
from podium.trials.comparison import (
    CanaryDrift,
    Comparison,
    ErrorComparison,
    OutputComparison,
    PairedLoss,
    Segment,
    Side,
)
from podium.trials.drift import ColumnDrift
from podium.trials.errors import ClassErrors, Loss, NumberErrors
from podium.trials.quantiles import Quantiles

SHOWN_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_LOSSES = {
    Loss.ABSOLUTE: "mean absolute error",
    Loss.SQUARED: "mean squared error",
    Loss.WRONG: "wrong classes",
    Loss.LOG: "log loss",
}

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the report: what it says in sentences, and its table.

    `kind` and `output` tell a page which plot belongs to it.
    """

    title: str
    kind: str
    output: str = ""
    notes: tuple[str, ...] = ()
    columns: Row = ()
    rows: tuple[Row, ...] = field(default=())


def headline(found: Comparison) -> str:
    return f"{found.endpoint}: {_who(found.b)} compared with {_who(found.a)}"


def _who(side: Side) -> str:
    about = [*([f"number {side.number}"] if side.number else []), *([side.role] if side.role else [])]
    about += ["replayed"] if side.replayed else []
    return f"{side.name} ({', '.join(about)})" if about else side.name


def sections(found: Comparison) -> Iterator[Section]:
    """The whole report, what matters most first."""
    yield Section(title="In short", kind="short", notes=tuple(in_short(found)))
    yield _requests(found)
    for output in found.outputs:
        if output.errors:
            yield _errors(found, output, output.errors)
    for output in found.outputs:
        if parts := [part for part in found.segments if part.output == output.name]:
            yield _segments(found, output, parts)
    for output in found.outputs:
        yield _scores(found, output)
    yield _latency(found)
    if found.worst:
        yield _worst(found)
    if found.canary:
        yield _drift(found.canary)


# --- in short -------------------------------------------------------------------------------


def in_short(found: Comparison) -> Iterator[str]:
    """What it comes to, in sentences."""
    yield (
        f"Requests from {_time(found.since)} to {_time(found.until)}: {found.common:,} that both have "
        f"scored, {found.rows:,} rows."
    )
    agreement = found.agreement
    yield (
        f"They agree on {percent(agreement.part)} of the rows: numbers within "
        f"{100 * agreement.tolerance:.3g} % of {found.a.name}'s, all else when it is the same."
    )
    yield from _of_errors(found)
    yield _of_inputs(found)


def _of_errors(found: Comparison) -> Iterator[str]:
    judged = [(output, output.errors) for output in found.outputs if output.errors]
    if not judged:
        yield (
            "Which is right is not known: there are no outcomes of these requests. `podium outcome` sends "
            "what really happened, and errors are shown here."
        )
    for output, errors in judged:
        yield f"{output.name}: {_verdict(found, errors.judged)}"


def _verdict(found: Comparison, loss: PairedLoss) -> str:
    a, b, pair = found.a.name, found.b.name, loss.pair
    figures = f"{_LOSSES[loss.loss]} {figure(pair.mean_b)} against {figure(pair.mean_a)}"
    if loss.relative is not None:
        figures += f" ({loss.relative:+.1%})"
    if loss.interval is None:
        return f"{figures} on {pair.count:,} outcomes: too few to tell {b} and {a} apart."
    interval = f"{figure(loss.interval.low)} and {figure(loss.interval.high)}"
    said = {
        "better": f"{b} is better than {a}",
        "worse": f"{b} is worse than {a}",
        "undecided": f"{b} is not shown to be better or worse than {a}",
    }[loss.verdict]
    return (
        f"{said}: {figures} on {pair.count:,} outcomes; the difference lies between {interval} with "
        f"{loss.confidence:.0%} confidence, however often one looks."
    )


def _of_inputs(found: Comparison) -> str:
    """What moves the scores: the inputs, or the models."""
    apart = "What differs between the two is the models' own: both scored the same requests."
    canary = found.canary
    if canary is None:
        return f"{apart} Whether the inputs moved is not known: no canary has scored them."
    moved = [column for column in canary.scores if column.level in ("moved", "drifted")]
    inputs = [column.column for column in canary.inputs if column.level in ("moved", "drifted")]
    if moved:
        which = f" (most of all {', '.join(inputs)})" if inputs else ""
        return (
            f"The inputs moved within the period{which}: scores of the canary {canary.name}, which is always "
            f"the same, are not distributed as before (PSI {_largest(moved)}). {apart}"
        )
    if all(column.level is None for column in canary.scores):
        return f"{apart} Whether the inputs moved is not known: the canary {canary.name} has too few scores."
    return (
        f"The inputs did not move within the period, as far as the canary {canary.name} shows "
        f"(PSI {_largest(canary.scores)}). {apart}"
    )


def _largest(columns: Sequence[ColumnDrift]) -> str:
    return f"{max(column.psi for column in columns if column.psi is not None):.2g}"


# --- tables ---------------------------------------------------------------------------------


def _requests(found: Comparison) -> Section:
    rows = [
        (side.name, side.role, *(f"{count:,}" for count in (side.scored, side.late, side.errors, only)))
        for side, only in ((found.a, found.only_a), (found.b, found.only_b))
    ]
    return Section(
        title="Requests",
        kind="requests",
        columns=("contender", "role", "in time", "late", "errors", "only this one"),
        rows=tuple(rows),
    )


def _latency(found: Comparison) -> Section:
    rows = [
        (what, side.name, *_quantiles(getattr(side.latency, what)))
        for what in ("queue", "compute", "total")
        for side in (found.a, found.b)
    ]
    return Section(
        title="Latency in ms",
        kind="latency",
        notes=(
            "From the sending of a frame to its computation (queue), the computation, and both together "
            "(total). Quantiles are within 1.1 %.",
        ),
        columns=("", "contender", "p50", "p90", "p95", "p99"),
        rows=tuple(rows),
    )


def _quantiles(found: Quantiles) -> Row:
    return tuple(figure(value) for value in (found.p50, found.p90, found.p95, found.p99))


def _scores(found: Comparison, output: OutputComparison) -> Section:
    agreement = f"{percent(output.agreement.part)} of {output.agreement.rows:,} rows agree."
    if shown := [point for point in output.points if point.q in SHOWN_QUANTILES]:
        return Section(
            title=f"Scores: {output.name}",
            kind="numbers",
            output=output.name,
            notes=(agreement, "Each column is a quantile of what each contender said on the common rows."),
            columns=("contender", *(f"{point.q:.0%}" for point in shown)),
            rows=(
                (found.a.name, *(figure(point.a) for point in shown)),
                (found.b.name, *(figure(point.b) for point in shown)),
            ),
        )
    return Section(
        title=f"Scores: {output.name}",
        kind="classes",
        output=output.name,
        notes=(agreement,),
        columns=(f"{found.a.name} said", f"{found.b.name} said", "rows") if output.crossings else (),
        rows=tuple((cut(one.a), cut(one.b), f"{one.count:,}") for one in output.crossings),
    )


def _errors(found: Comparison, output: OutputComparison, errors: ErrorComparison) -> Section:
    if isinstance(errors.a, NumberErrors) and isinstance(errors.b, NumberErrors):
        columns: Row = ("contender", "MAE", "RMSE", "bias")
        rows = [(side.name, *map(figure, (e.mae, e.rmse, e.bias))) for side, e in _sides(found, errors)]
    else:
        columns = ("contender", "accuracy", "log loss", "AUC", "calibration error")
        rows = [(side.name, *_class_errors(e)) for side, e in _sides(found, errors)]
    return Section(
        title=f"Errors: {output.name}",
        kind="errors",
        output=output.name,
        notes=(f"Against {errors.outcomes:,} outcomes.",),
        columns=columns,
        rows=tuple(rows),
    )


def _sides(found: Comparison, errors: ErrorComparison) -> tuple[tuple[Side, Any], tuple[Side, Any]]:
    return (found.a, errors.a), (found.b, errors.b)


def _class_errors(errors: ClassErrors) -> Row:
    calibration = errors.calibration.error if errors.calibration else None
    return (percent(errors.accuracy), *map(figure, (errors.log_loss, errors.auc, calibration)))


def _segments(found: Comparison, output: OutputComparison, parts: Sequence[Segment]) -> Section:
    return Section(
        title=f"Errors in segments: {output.name}",
        kind="segments",
        output=output.name,
        notes=(f"The {_LOSSES[parts[0].judged.loss]} where an input is so.",),
        columns=("input", "is", "outcomes", found.a.name, found.b.name, "difference", f"{found.b.name} is"),
        rows=tuple(
            (
                part.input,
                cut(part.values),
                f"{part.outcomes:,}",
                figure(part.judged.pair.mean_a),
                figure(part.judged.pair.mean_b),
                NOTHING if part.judged.relative is None else f"{part.judged.relative:+.1%}",
                part.judged.verdict if part.judged.interval else "too few to tell",
            )
            for part in parts
        ),
    )


def _worst(found: Comparison) -> Section:
    return Section(
        title="Where they differ most",
        kind="worst",
        columns=("id", "row", "output", found.a.name, found.b.name, "outcome", "inputs"),
        rows=tuple(
            (
                cut(one.id),
                str(one.row),
                one.output,
                *map(_value, (one.a, one.b, one.outcome)),
                _inputs(one.inputs),
            )
            for one in found.worst
        ),
    )


def _drift(canary: CanaryDrift) -> Section:
    rows = [("score", column) for column in canary.scores] + [("input", column) for column in canary.inputs]
    return Section(
        title="Did the inputs move?",
        kind="drift",
        notes=(
            f"The second half of the period's requests against {canary.reference}, by what the canary "
            f"{canary.name} said of them and by what came in.",
        ),
        columns=("", "of", "PSI", "by chance", "KS", "missing then", "missing now", "level"),
        rows=tuple(
            (
                what,
                column.column,
                *map(figure, (column.psi, column.chance, column.ks)),
                percent(column.missing_before),
                percent(column.missing_now),
                column.level or "too few to tell",
            )
            for what, column in rows
        ),
    )


# --- figures --------------------------------------------------------------------------------


def _time(us: int) -> str:
    return shown_time(moment_of(us))


def _value(value: Any) -> str:
    match value:
        case None:
            return NOTHING
        case float():
            return figure(value)
        case str():
            return cut(value)
        case _:
            return cut(msgspec.json.encode(value).decode())


def _inputs(inputs: dict[str, Any]) -> str:
    return ", ".join(f"{cut(name)}={_value(value)}" for name, value in inputs.items())
