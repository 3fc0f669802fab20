"""A Grafana dashboard of one endpoint, over the series that the rules record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from podium.monitoring.rules import WINDOW
from podium.project import Project

SCHEMA_VERSION = 39
"""Of Grafana 10 and later, which read older ones too."""

SOURCE = {"type": "prometheus", "uid": "${source}"}
COLUMNS = 24
HEIGHT = 8
WHO = "{{model}}@{{version}} ({{role}})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """One expression and how its lines are called."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """One picture. `unit` is Grafana's name; `stacked` shows parts of a whole, `logarithmic` times."""

    title: str
    about: str
    queries: Sequence[Query]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 12
    stacked: bool = False
    logarithmic: bool = False
    threshold: float | None = None


def dashboard(project: Project) -> dict[str, Any]:
    """The document that Grafana imports; it asks for the data source then."""
    return {
        "title": f"Podium: {project.name}",
        "uid": f"podium-{project.name}"[:40],
        "tags": ["podium"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [{"name": "source", "label": "Data source", "type": "datasource", "query": "prometheus"}]
        },
        "annotations": {"list": [_changes(project.name)]},
        "panels": list(_placed(panels(project))),
    }


def _changes(endpoint: str) -> dict[str, Any]:
    """A line in every picture where the policy has changed."""
    return {
        "name": "Policy",
        "enable": True,
        "iconColor": "purple",
        "datasource": SOURCE,
        "expr": f'changes(podium_revision{{endpoint="{endpoint}"}}[1m]) > 0',
        "titleFormat": "the policy has changed",
    }


def panels(project: Project) -> Iterator[Panel]:
    """From the whole to its parts: the endpoint, its contenders, the archive."""
    chosen = f'{{endpoint="{project.name}"}}'
    yield from _at_a_glance(project, chosen)
    yield from _of_requests(project, chosen)
    yield from _of_contenders(project, chosen)
    yield from _of_the_archive(chosen)


def _at_a_glance(project: Project, chosen: str) -> Iterator[Panel]:
    deadline = project.endpoint.deadline_ms / 1000
    glances = (
        ("Requests", f"podium:requests:rate5m{chosen}", "reqps", None),
        ("p99 of answers", f"podium:answer_seconds:p99_5m{chosen}", "s", deadline),
        ("Default answers", f"podium:defaults:ratio5m{chosen}", "percentunit", project.guards.defaults),
        ("Revision", f"max(podium_revision{chosen})", "none", None),
    )
    for title, expr, unit, threshold in glances:
        yield Panel(
            title=title,
            about="Over the last five minutes." if unit != "none" else "Of the policy that is in use.",
            queries=[Query(expr=expr)],
            unit=unit,
            kind="stat",
            width=6,
            threshold=threshold,
        )


def _of_requests(project: Project, chosen: str) -> Iterator[Panel]:
    yield Panel(
        title="Requests",
        about="Those that went to the contenders, those with the default answer, and those not let in.",
        queries=[
            Query(expr=f"podium:requests:rate5m{chosen}", legend="received"),
            Query(
                expr=f"sum(rate(podium_requests_defaulted_total{chosen}[{WINDOW}]))", legend="default answers"
            ),
            Query(
                expr=f"sum by (reason) (rate(podium_requests_refused_total{chosen}[{WINDOW}]))",
                legend="refused: {{reason}}",
            ),
        ],
        unit="reqps",
    )
    yield Panel(
        title="Time to an answer",
        about="From a request's arrival to its answer; the line is the deadline.",
        queries=[
            Query(expr=f"podium:answer_seconds:{name}_5m{chosen}", legend=name) for name in ("p50", "p99")
        ],
        unit="s",
        logarithmic=True,
        threshold=project.endpoint.deadline_ms / 1000,
    )


def _of_contenders(project: Project, chosen: str) -> Iterator[Panel]:
    yield Panel(
        title="Who answered",
        about="The part of the answers that were each contender's.",
        queries=[Query(expr=f"podium:share:ratio5m{chosen}", legend=WHO)],
        unit="percentunit",
        stacked=True,
    )
    yield Panel(
        title="Time to a score, p99",
        about="From sending a frame to a contender's scores.",
        queries=[Query(expr=f"podium:score_seconds:p99_5m{chosen}", legend=WHO)],
        unit="s",
        logarithmic=True,
    )
    yield Panel(
        title="Errors and late scores",
        about="The part of the requests that a contender could not score, or not by their deadline.",
        queries=[
            Query(expr=f"podium:errors:ratio5m{chosen}", legend=f"errors: {WHO}"),
            Query(expr=f"podium:late:ratio5m{chosen}", legend=f"late: {WHO}"),
        ],
        unit="percentunit",
    )
    yield Panel(
        title="Disagreement with the champion",
        about="The part of the rows on which a contender and the champion do not say the same.",
        queries=[Query(expr=f"podium:disagreement:ratio5m{chosen}", legend=WHO)],
        unit="percentunit",
        threshold=project.guards.disagreement,
    )
    yield Panel(
        title="Drift",
        about="The ten columns that are farthest from training, by the population stability index.",
        queries=[Query(expr=f"topk(10, podium_drift_psi{chosen})", legend="{{model}}: {{part}} {{column}}")],
    )


def _of_the_archive(chosen: str) -> Iterator[Panel]:
    behind = f"sum(podium_requests_answered_total{chosen}) - max(podium_requests_archived{chosen})"
    yield Panel(
        title="Waiting for the archive",
        about="Answered requests that are not in the tables yet; messages that the broker has not confirmed.",
        queries=[
            Query(expr=behind, legend="answered, not archived"),
            Query(expr=f"sum(podium_stream_overdue{chosen})", legend="not confirmed"),
            Query(expr=f"sum(podium_requests_in_flight{chosen})", legend="in flight"),
        ],
    )


# --- as Grafana writes it ---------------------------------------------------------------------


def _placed(panels: Iterator[Panel]) -> Iterator[dict[str, Any]]:
    """From left to right, then the next line."""
    x, y = 0, 0
    for number, panel in enumerate(panels, start=1):
        height = HEIGHT if panel.kind == "timeseries" else HEIGHT // 2
        yield {**_drawn(panel), "id": number, "gridPos": {"x": x, "y": y, "w": panel.width, "h": height}}
        x += panel.width
        if x >= COLUMNS:
            x, y = 0, y + height


def _drawn(panel: Panel) -> dict[str, Any]:
    bounds: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.threshold is not None:
        bounds.append({"color": "red", "value": panel.threshold})
    return {
        "title": panel.title,
        "description": panel.about,
        "type": panel.kind,
        "datasource": SOURCE,
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": SOURCE,
                "expr": query.expr,
                "legendFormat": query.legend,
            }
            for place, query in enumerate(panel.queries)
        ],
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": None if panel.logarithmic else 0,
                "max": 1 if panel.stacked else None,
                "thresholds": {"mode": "absolute", "steps": bounds},
                "custom": _lines(panel) if panel.kind == "timeseries" else {},
            },
            "overrides": [],
        },
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}}
        if panel.kind == "timeseries"
        else {},
    }


def _lines(panel: Panel) -> dict[str, Any]:
    return {
        "fillOpacity": 60 if panel.stacked else 0,
        "stacking": {"mode": "normal" if panel.stacked else "none"},
        "scaleDistribution": {"type": "log", "log": 10} if panel.logarithmic else {"type": "linear"},
        "thresholdsStyle": {"mode": "line" if panel.threshold is not None else "off"},
    }
