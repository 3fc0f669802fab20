"""The figures of usage in words and tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from podium.archive.usage.figures import Figures, OfCaller, OfContender, OfRule, OfTime, Usage
from podium.reports.comparison import Section
from podium.reports.words import NOTHING, cut, figure, percent

MOST_HOURS = 48
"""More of them are shown by day."""

MOST_CALLERS = 20
_LATENCY = ("p50 ms", "p90 ms", "p99 ms")


def headline(found: Usage) -> str:
    return f"{found.endpoint}: what became of the requests that came from {found.since} to {found.until}"


def sections(found: Usage) -> Iterator[Section]:
    """The whole report, what matters most first."""
    yield Section(title="In short", kind="short", notes=tuple(_in_short(found)))
    if found.contenders:
        yield _contenders(found.contenders)
    yield _answers(found.rules, found.total)
    yield _callers(found.callers)
    yield _times(found)
    if any(one.against_outcomes for one in found.contenders):
        yield _errors(found.contenders)


def _in_short(found: Usage) -> Iterator[str]:
    total = found.total
    answered = f"{total.answers:,} got a model's answer, {total.defaults:,} the default"
    lost = f", {total.unanswered:,} have no answer in the archive" if total.unanswered else ""
    yield f"{total.requests:,} requests with {total.rows:,} rows: {answered}{lost}."
    if total.p50_ms is not None:
        p50, p99 = figure(total.p50_ms), figure(total.p99_ms)
        yield f"Half of the answers took {p50} ms at most, 99 % of them {p99} ms (within 4.5 %)."
    yield f"Contenders computed for {figure(total.compute_s)} s in all."
    if not found.is_current:
        yield "Another process is bringing the figures up to date: ask again for those of now."


def _contenders(contenders: Sequence[OfContender]) -> Section:
    return Section(
        title="Contenders",
        kind="contenders",
        notes=("Of all requests, whoever answered them; rows are compared with the champion's.",),
        columns=(
            "contender",
            "scored",
            "late",
            "errors",
            "answered",
            "compared",
            "disagrees",
            "compute s",
        ),
        rows=tuple(
            (
                _name(one.model, one.version),
                *(f"{count:,}" for count in (one.scored, one.late, one.errors, one.answers, one.compared)),
                percent(one.disagreement),
                figure(one.compute_s),
            )
            for one in contenders
        ),
    )


def _answers(rules: Sequence[OfRule], total: Figures) -> Section:
    return Section(
        title="Answers",
        kind="answers",
        columns=("rule", "contender", "requests", "share", *_LATENCY),
        rows=tuple(
            (
                one.rule or NOTHING,
                _name(one.model, one.version),
                f"{one.requests:,}",
                percent(one.requests / total.requests if total.requests else None),
                *_latency(one),
            )
            for one in rules
        ),
    )


def _callers(callers: Sequence[OfCaller]) -> Section:
    most = sorted(callers, key=lambda one: -one.requests)
    hidden = len(most) - MOST_CALLERS
    return Section(
        title="Callers",
        kind="callers",
        notes=(f"The {MOST_CALLERS} with most requests; --json has {hidden:,} more.",) if hidden > 0 else (),
        columns=("caller", "requests", "rows", "defaults", *_LATENCY),
        rows=tuple(
            (
                NOTHING if one.caller is None else cut(one.caller),
                *(f"{count:,}" for count in (one.requests, one.rows, one.defaults)),
                *_latency(one),
            )
            for one in most[:MOST_CALLERS]
        ),
    )


def _times(found: Usage) -> Section:
    by_day = len(found.hours) > MOST_HOURS
    return Section(
        title="Days" if by_day else "Hours",
        kind="times",
        columns=("from", "requests", "defaults", "late", "errors", "disagree", *_LATENCY),
        rows=tuple(_time(one) for one in (found.days if by_day else found.hours)),
    )


def _time(one: OfTime) -> tuple[str, ...]:
    counts = (one.requests, one.defaults, one.late, one.errors)
    return (one.since, *(f"{count:,}" for count in counts), percent(one.disagreement), *_latency(one))


def _errors(contenders: Sequence[OfContender]) -> Section:
    return Section(
        title="Against outcomes",
        kind="errors",
        columns=("contender", "output", "rows", "MAE", "RMSE", "wrong"),
        rows=tuple(
            (
                _name(one.model, one.version),
                cut(errors.output),
                f"{errors.judged:,}",
                figure(errors.mae),
                figure(errors.rmse),
                percent(errors.wrong),
            )
            for one in contenders
            for errors in one.against_outcomes
        ),
    )


def _name(model: str | None, version: str | None) -> str:
    return f"{cut(model)}@{version}" if model else NOTHING


def _latency(one: Figures) -> tuple[str, ...]:
    return tuple(figure(value) for value in (one.p50_ms, one.p90_ms, one.p99_ms))
