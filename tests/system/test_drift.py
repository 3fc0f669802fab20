"""Inputs move under a running node: who looks sees which, in whose scores, and when it is over."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from sklearn.datasets import load_diabetes
from tests.system.conftest import Up
from tests.system.load import Load
from tests.system.running import Node, podium, until

from podium.archive.drift_report import LiveDrift
from podium.records import Role

PATIENTS = load_diabetes(as_frame=True).data[["bmi", "bp", "s5"]]
SHIFT = 0.1
"""Two standard deviations."""


def asking(node: Node, shift: float = 0.0) -> Load:
    """Requests, as long as it lasts, of all the rows that the models know."""
    rows = PATIENTS.assign(bmi=PATIENTS.bmi + shift).to_json(orient="records").encode()
    return Load(node.url, rate=10, connections=1, bodies=[rows])


def drift(node: Node) -> dict[tuple[str, str], LiveDrift]:
    """By model and column."""
    return {(c.model, each.column): each for c in node.status().contenders for each in c.drift}


def levels(node: Node) -> dict[tuple[str, str], str | None]:
    return {name: each.level for name, each in drift(node).items()}


def metric(node: Node, name: str, **labels: str) -> list[float]:
    with urllib.request.urlopen(f"{node.url}/metrics", timeout=10) as reply:
        families = text_string_to_metric_families(reply.read().decode())
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return [sample.value for sample in samples if labels.items() <= sample.labels.items()]


def test_inputs_that_move_are_seen_with_the_scores_that_move_and_so_is_their_return(
    project: Path, up: Up
) -> None:
    with (project / "podium.toml").open("a") as file:
        file.write('\n[drift]\nwindow = "5s"\n')
    node = up(project)
    columns = {
        ("linear", "bmi"), ("linear", "progression"), ("reference", "bmi"), ("reference", "progression"),
        ("forest", "bmi"), ("forest", "bp"), ("forest", "s5"), ("forest", "progression"),
    }  # fmt: skip

    canary = next(c.model for c in node.status().contenders if c.role is Role.CANARY)
    shifted = {(model, name) for model in ("linear", canary) for name in ("bmi", "progression")} | {
        ("forest", "bmi")
    }

    def are(level: str, names: set[tuple[str, str]]) -> bool:
        found = levels(node)
        return set(found) == columns and {found[name] for name in names} == {level}

    with asking(node):
        until(lambda: are("stable", columns), what=lambda: levels(node))
        assert "training" not in podium(project, "status").stdout
    with asking(node, SHIFT) as load:
        until(lambda: are("drifted", shifted), what=lambda: levels(node))
        assert are("stable", {("forest", "bp"), ("forest", "s5")})
        bmi, progression = (drift(node)["linear", name] for name in ("bmi", "progression"))
        assert (bmi.part, (bmi.psi or 0) > 0.25, (bmi.ks or 0) > 0.2) == ("input", True, True)
        assert progression.part == "score"
        _, _, said = podium(project, "status").stdout.partition("Not as in training, in the last 5 s:")
        assert [said.count(f"{model}@") for model in ("linear", "forest", canary)] == [1, 1, 1]
        found = json.loads(podium(project, "status", "--json").stdout)
        assert found["contenders"][0]["drift"][0]["level"] == "drifted"
        assert metric(node, "podium_drift_level", model="linear", column="bmi", part="input") == [2.0]
        assert metric(node, "podium_drift_psi", model="linear", column="bmi", role="champion") > [0.25]
        assert metric(node, "podium_drift_level", model="forest", column="bp") == [0.0]
    assert set(load.counts) == {200}
    with asking(node):
        until(lambda: are("stable", columns), what=lambda: levels(node))
        assert "training" not in podium(project, "status").stdout
    until(lambda: not drift(node), what=lambda: drift(node))
