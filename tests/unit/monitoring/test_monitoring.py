"""Rules and dashboard are read by Prometheus' own tool, and name only series that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from podium.gateway.metrics import DRIFT, SHOWN
from podium.monitoring.dashboard import dashboard
from podium.monitoring.rules import alerts, recorded, rule_file
from podium.project import Project, load
from podium.yaml_text import yaml

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool here")
OF_A_HISTOGRAM = ("_bucket", "_count", "_sum")

FILE = """
[endpoint]
name = "diabetes"
deadline = "200ms"
default = { progression = 150.0 }
[models.linear]
module = "models/linear.py"
role = "champion"
[models.reference]
module = "models/reference.py"
role = "canary"
[guards]
defaults = "2%"
disagreement = "30%"
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "models").mkdir()
    for name in ("linear", "reference"):
        (tmp_path / "models" / f"{name}.py").touch()
    (tmp_path / "podium.toml").write_text(FILE)
    return load(tmp_path)


def expressions(project: Project) -> Iterator[str]:
    document = dashboard(project)
    yield from (query["expr"] for panel in document["panels"] for query in panel["targets"])
    yield from (annotation["expr"] for annotation in document["annotations"]["list"])
    yield from (each.expr for each in recorded(project.name))
    yield from (each.expr for each in alerts(project))


def test_every_series_that_is_named_is_there(project: Project) -> None:
    there = {each.name for each in (*SHOWN.values(), *DRIFT.values())}
    kept = {each.name for each in recorded(project.name)}
    for expression in expressions(project):
        for name in re.findall(r"\bpodium_\w+", expression):
            plain = name.removesuffix("_total")
            for ending in OF_A_HISTOGRAM:
                plain = plain.removesuffix(ending)
            assert plain in there, expression
        assert set(re.findall(r"\bpodium:[\w:]+", expression)) <= kept, expression


def test_bounds_are_the_guards_where_there_are_some(project: Project) -> None:
    found = {alert.name: alert.expr for alert in alerts(project)}
    assert found["PodiumDefaultAnswers"].endswith("> 0.02")
    assert found["PodiumDisagreement"].endswith("> 0.3")
    assert found["PodiumSlowAnswers"].endswith("> 0.18")


def test_panels_do_not_overlap(project: Project) -> None:
    cells = [
        (x, y)
        for panel in dashboard(project)["panels"]
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


@needs_promtool
def test_prometheus_reads_the_rules_and_every_expression_of_the_dashboard(
    project: Project, tmp_path: Path
) -> None:
    drawn = [{"record": "drawn", "expr": expression} for expression in expressions(project)]
    for name, groups in (
        ("rules.yml", rule_file(project)),
        ("drawn.yml", {"groups": [{"name": "drawn", "rules": drawn}]}),
    ):
        (tmp_path / name).write_text(yaml([groups]))
        promtool("check", "rules", str(tmp_path / name))


def contender(role: str, name: str = "linear") -> str:
    return f'endpoint="diabetes", model="{name}", version="9f2c1ab04d5e", role="{role}"'


LIVES = {
    "podium_revision": "1x120",
    "podium_requests_received_total": "0+600x120",
    "podium_requests_answered_total": "0+600x120",
}
"""Of an endpoint to which nothing happens: a value for each minute."""


@needs_promtool
@pytest.mark.parametrize(
    ("series", "told"),
    [
        ({}, ""),
        ({"podium_requests_defaulted_total": "0+30x120"}, "PodiumDefaultAnswers"),
        ({"podium_requests_defaulted_total": "0+6x120"}, ""),
        ({"podium_requests_answered_total": "0+500x120"}, "PodiumUnanswered"),
        ({"podium_revision": "_x120"}, "PodiumAway"),
        (
            {
                f"podium_contender_errors_total{{{contender('champion')}}}": "0+60x120",
                f"podium_contender_scores_total{{{contender('champion')}}}": "0+540x120",
            },
            "PodiumContenderErrors",
        ),
        (
            {
                f"podium_contender_compared_rows_total{{{contender('canary', 'reference')}}}": "0+100x120",
                f"podium_contender_agreed_rows_total{{{contender('canary', 'reference')}}}": "0+60x120",
            },
            "PodiumDisagreement",
        ),
        ({f"podium_ready{{{contender('challenger', 'forest')}}}": "0x120"}, "PodiumContenderAway"),
        ({"podium_archive_failing": "1x120"}, "PodiumArchiveFailing"),
        ({"podium_stream_unkept_total": "0+1x120"}, "PodiumUnkept"),
        ({"podium_stream_dead_letters": "3x120"}, "PodiumDeadLetters"),
        (
            {
                "podium_revision": "1x1500",
                "podium_requests_received_total": "0+60x1400 84000x100",
                "podium_requests_answered_total": "0+60x1400 84000x100",
            },
            "PodiumSilence",
        ),
        (
            {
                'podium_answer_seconds_bucket{endpoint="diabetes", le="0.1"}': "0+500x120",
                'podium_answer_seconds_bucket{endpoint="diabetes", le="0.25"}': "0+600x120",
                'podium_answer_seconds_bucket{endpoint="diabetes", le="+Inf"}': "0+600x120",
            },
            "PodiumSlowAnswers",
        ),
        (
            {
                f"podium_contender_late_total{{{contender('champion')}}}": "0+60x120",
                f"podium_contender_scores_total{{{contender('champion')}}}": "0+540x120",
            },
            "PodiumContenderLate",
        ),
        (
            {f'podium_drift_level{{{contender("champion")}, part="inputs", column="bmi"}}': "2x120"},
            "PodiumDrift",
        ),
    ],
)
def test_an_alert_is_told_when_it_should_be_and_no_other(
    project: Project, tmp_path: Path, series: dict[str, str], told: str
) -> None:
    (tmp_path / "rules.yml").write_text(yaml([rule_file(project)]))
    given = {
        name if "{" in name else f'{name}{{endpoint="diabetes"}}': values
        for name, values in {**LIVES, **series}.items()
    }
    fires = 'count by (alertname) (ALERTS{alertstate="firing"})'
    minutes = 1480 if told == "PodiumSilence" else 100
    sample = [{"labels": f'{{alertname="{told}"}}', "value": 1}] if told else []
    test: dict[str, Any] = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in given.items()],
        "promql_expr_test": [{"expr": fires, "eval_time": f"{minutes}m", "exp_samples": sample}],
    }
    file = tmp_path / "test.json"  # JSON is YAML
    file.write_text(json.dumps({"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [test]}))
    promtool("test", "rules", str(file))


def promtool(*words: str) -> None:
    assert PROMTOOL
    done = subprocess.run([PROMTOOL, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
