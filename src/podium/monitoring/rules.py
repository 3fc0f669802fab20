"""Recording and alert rules for Prometheus, from an endpoint's settings.

Sums are over all gateways that are scraped. Under `podium up` all of them are behind one address, and each
shows the counts of all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from podium.project import Project

WINDOW = "5m"
CONTENDER = "endpoint, model, version, role"
UNANSWERED, DEFAULTS, ERRORS, LATE = 0.01, 0.01, 0.05, 0.05
"""The parts above which somebody is told, where no guard of the project says another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """A figure that is kept as a series of its own."""

    name: str
    expr: str

    def rule(self) -> dict[str, Any]:
        return {"record": self.name, "expr": self.expr}


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """What is told when `expr` has held for so long: `page` to be mended now, `ticket` on a working day."""

    name: str
    expr: str
    lasting: str
    severity: str
    summary: str
    todo: str

    def rule(self) -> dict[str, Any]:
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.lasting,
            "labels": {"severity": self.severity},
            "annotations": {"summary": self.summary, "description": self.todo},
        }


def rule_file(project: Project) -> dict[str, Any]:
    """The file that Prometheus' `rule_files` names."""
    rules = [each.rule() for each in recorded(project.name)] + [each.rule() for each in alerts(project)]
    return {"groups": [{"name": f"podium-{project.name}", "rules": rules}]}


def recorded(endpoint: str) -> Iterator[Recorded]:
    """Rates and parts over the last five minutes, by endpoint or by contender."""
    received = _rate("podium_requests_received_total", endpoint, "endpoint")
    yield Recorded(name="podium:requests:rate5m", expr=received)
    yield Recorded(
        name="podium:defaults:ratio5m",
        expr=_part(_rate("podium_requests_defaulted_total", endpoint, "endpoint"), received),
    )
    answered = _rate("podium_requests_answered_total", endpoint, "endpoint")
    yield Recorded(name="podium:unanswered:ratio5m", expr=f"1 - {_part(answered, received)}")
    refused = _rate("podium_requests_refused_total", endpoint, "endpoint")
    yield Recorded(name="podium:refused:ratio5m", expr=_part(refused, f"({refused} + {received})"))
    for name, part in (("p50", 0.5), ("p99", 0.99)):
        buckets = _rate("podium_answer_seconds_bucket", endpoint, "endpoint, le")
        yield Recorded(name=f"podium:answer_seconds:{name}_5m", expr=f"histogram_quantile({part}, {buckets})")
        buckets = _rate("podium_contender_score_seconds_bucket", endpoint, f"{CONTENDER}, le")
        yield Recorded(name=f"podium:score_seconds:{name}_5m", expr=f"histogram_quantile({part}, {buckets})")
    answers = _rate("podium_contender_answers_total", endpoint, CONTENDER)
    yield Recorded(
        name="podium:share:ratio5m", expr=f"{answers} / on (endpoint) group_left () ({answered} > 0)"
    )
    scores = _rate("podium_contender_scores_total", endpoint, CONTENDER)
    errors = _rate("podium_contender_errors_total", endpoint, CONTENDER)
    yield Recorded(name="podium:errors:ratio5m", expr=_part(errors, f"({errors} + {scores})"))
    late = _rate("podium_contender_late_total", endpoint, CONTENDER)
    yield Recorded(name="podium:late:ratio5m", expr=_part(late, scores))
    agreed = _rate("podium_contender_agreed_rows_total", endpoint, CONTENDER)
    compared = _rate("podium_contender_compared_rows_total", endpoint, CONTENDER)
    yield Recorded(name="podium:disagreement:ratio5m", expr=f"1 - {_part(agreed, compared)}")


def alerts(project: Project) -> Iterator[Alert]:
    """What an owner should hear of. Bounds are the project's guards, where it has them."""
    chosen = f'{{endpoint="{project.name}"}}'
    yield from _of_the_endpoint(project, chosen)
    yield from _of_contenders(project, chosen)
    yield from _of_the_archive(chosen)


def _of_the_endpoint(project: Project, chosen: str) -> Iterator[Alert]:
    name = project.name
    yield Alert(
        name="PodiumAway",
        expr=f"absent(podium_revision{chosen})",
        lasting="2m",
        severity="page",
        summary=f"No gateway of {name} shows its metrics",
        todo="Is it running? `podium status`, or the gateway's pods.",
    )
    yield Alert(
        name="PodiumUnanswered",
        expr=f"podium:unanswered:ratio5m{chosen} > {UNANSWERED:g}",
        lasting="2m",
        severity="page",
        summary=f"{name}: {{{{ $value | humanizePercentage }}}} of the requests get no answer",
        todo="No contender answers in time: `podium status` shows who is late or fails.",
    )
    defaults = project.guards.defaults or DEFAULTS
    yield Alert(
        name="PodiumDefaultAnswers",
        expr=f"podium:defaults:ratio5m{chosen} > {defaults:g}",
        lasting="2m",
        severity="page",
        summary=f"{name}: {{{{ $value | humanizePercentage }}}} of the requests get the default answer",
        todo=(
            f"No contender answers in time; more than {defaults:.1%} is too much. "
            "`podium status` shows who is late or fails."
        ),
    )
    deadline = project.endpoint.deadline_ms / 1000
    yield Alert(
        name="PodiumSlowAnswers",
        expr=f"podium:answer_seconds:p99_5m{chosen} > {0.9 * deadline:g}",
        lasting="10m",
        severity="ticket",
        summary=f"{name}: 1% of the answers take over {{{{ $value | humanizeDuration }}}}",
        todo=f"The deadline is {deadline:g} s. More `replicas`, a faster model, or another schedule.",
    )
    yield Alert(
        name="PodiumSilence",
        expr=(
            f"podium:requests:rate5m{chosen} == 0 and "
            f"avg_over_time(podium:requests:rate5m{chosen}[1d] offset 1h) > 0.01"
        ),
        lasting="30m",
        severity="ticket",
        summary=f"{name}: no requests for half an hour",
        todo="Yesterday there were some. Do clients still reach it?",
    )


def _of_contenders(project: Project, chosen: str) -> Iterator[Alert]:
    guards = project.guards
    who = "{{ $labels.model }}@{{ $labels.version }}"
    yield Alert(
        name="PodiumContenderAway",
        expr=f'podium_ready{{endpoint="{project.name}", model!=""}} == 0',
        lasting="5m",
        severity="ticket",
        summary=f"{who} is not ready",
        todo="`podium status` says what it last failed with; its log has the rest.",
    )
    bounds = (
        ("PodiumContenderErrors", "errors", guards.errors or ERRORS, "cannot be scored by"),
        ("PodiumContenderLate", "late", guards.late or LATE, "get a score after their deadline from"),
    )
    for name, figure, bound, does in bounds:
        yield Alert(
            name=name,
            expr=f"podium:{figure}:ratio5m{chosen} > {bound:g}",
            lasting="5m",
            severity="ticket",
            summary=f"{{{{ $value | humanizePercentage }}}} of the requests {does} {who}",
            todo=f"More than {bound:.1%} is too much: `podium leave`, or `rollback` if it is the champion.",
        )
    if guards.disagreement is not None:
        canary = f'{{endpoint="{project.name}", role="canary"}}'
        yield Alert(
            name="PodiumDisagreement",
            expr=f"podium:disagreement:ratio5m{canary} > {guards.disagreement:g}",
            lasting="5m",
            severity="ticket",
            summary="The champion and the canary disagree on {{ $value | humanizePercentage }} of the rows",
            todo="The inputs have moved, or the champion is not what it was: `podium compare` says which.",
        )
    yield Alert(
        name="PodiumDrift",
        expr=f"max by ({CONTENDER}, part, column) (podium_drift_level{chosen}) == 2",
        lasting="1h",
        severity="ticket",
        summary=f"{who}: {{{{ $labels.column }}}} is far from what it was trained on",
        todo="docs/drift.md has what the figures mean; `podium export` makes a table to train on.",
    )


def _of_the_archive(chosen: str) -> Iterator[Alert]:
    yield Alert(
        name="PodiumArchiveFailing",
        expr=f"podium_archive_failing{chosen} > 0",
        lasting="5m",
        severity="page",
        summary="The archive cannot be written",
        todo="The archiver's log says why. What comes in waits in the stream, as long as that has room.",
    )
    yield Alert(
        name="PodiumUnkept",
        expr=f"increase(podium_stream_unkept_total{chosen}[10m]) > 0",
        lasting="0m",
        severity="ticket",
        summary="{{ $value }} messages will be missing in the archive",
        todo="The broker could not keep them: look at its disk and its log.",
    )
    yield Alert(
        name="PodiumDeadLetters",
        expr=f"podium_stream_dead_letters{chosen} > 0",
        lasting="5m",
        severity="ticket",
        summary="Service Bus has put {{ $value }} messages aside",
        todo="docs/guide/azure.md says how to look at them.",
    )


def _rate(counter: str, endpoint: str, by: str) -> str:
    return f'sum by ({by}) (rate({counter}{{endpoint="{endpoint}"}}[{WINDOW}]))'


def _part(some: str, of: str) -> str:
    """No value where there is nothing to have a part of."""
    return f"{some} / ({of} > 0)"
