"""A week in a minute, on real parts: a better model joins, is judged and promoted; a bad one is taken back.

Two gateways and a constant load throughout: no request fails, and each is archived once.
"""

from __future__ import annotations

import csv
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_diabetes
from tests.system.conftest import Up
from tests.system.load import Load
from tests.system.running import Node, edit, podium, until
from tests.system.test_change import assert_archived_once, roles, version

FOREST = """
[models.forest]
module = "models/forest.py"
role = "challenger"
"""
RULES = """
[gates]
requests = 300
error = "1%"
p99 = "deadline"

[guards]
disagreement = "50%"
window = "5s"
requests = 50
"""
BAD = ("patients[:-20], progression[:-20]", "patients[:-20], 3 * progression[:-20]")
"""Somebody's units were wrong."""


def patients() -> tuple[list[bytes], list[float]]:
    """Rows as requests, and what really happened to them."""
    rows, progression = load_diabetes(return_X_y=True, as_frame=True)
    bodies = [json.dumps(row).encode() for row in rows[["bmi", "bp", "s5"]].to_dict("records")]
    return bodies, progression.tolist()


def send_outcomes(project: Path, load: Load, truth: list[float], sent: set[str]) -> int:
    """What really happened, for every request that has been answered and has no outcome yet."""
    seen = [s for s in list(load.seen) if s.what == 200 and s.id not in sent]
    file = project / "outcomes.csv"
    with file.open("w", newline="") as output:
        table = csv.writer(output)
        table.writerow(["id", "progression"])
        table.writerows([s.id, truth[s.body]] for s in seen)
    podium(project, "outcome", "--file", str(file))
    sent.update(s.id for s in seen)
    return len(seen)


def compared(project: Path, a: str, b: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(podium(project, "compare", a, b, "--json").stdout)
    return found


def settle(node: Node) -> None:
    until(lambda: node.status().archived >= node.status().answered - 50, what=node.status)


@pytest.mark.timeout(300)
def test_a_week_in_a_minute(project: Path, up: Up) -> None:
    file = project / "podium.toml"
    text = file.read_text()
    assert text.count("\n[models.forest]\n") == 1
    text = re.sub(r"\n\[models\.forest\]\n.*?(?=\n\[)", "", text, flags=re.DOTALL)
    text = text.replace("[endpoint.inputs]", "agreement = 0.5\n\n[endpoint.inputs]", 1)
    file.write_text(text + RULES)
    edit(project, deadline="1s")  # what is tried here is not how quick this machine is
    node = up(project, "--gateways", "2")
    linear = version(node, "linear")
    gateways = {name: node.pid(name) for name in ("gateway 1", "gateway 2")}
    bodies, truth = patients()
    sent: set[str] = set()
    with Load(node.url, rate=150, bodies=bodies) as load:
        # Monday: forest joins, and is watched.
        file.write_text(file.read_text().replace("\n[schedule]", f"{FOREST}\n[schedule]"))
        assert "+ forest@" in podium(project, "plan").stdout
        podium(project, "apply", "--yes", "--reason", "a forest, to be watched")
        forest = version(node, "forest")
        shut = podium(project, "promote", "forest", code=1)
        assert "is not promoted" in shut.stderr

        # Tuesday to Thursday: outcomes come, and the gate opens.
        common = len(load.seen)
        until(lambda: len(load.seen) > common + 1200)
        settle(node)
        assert send_outcomes(project, load, truth, sent) > 500
        until(lambda: node.status().outcomes_archived >= len(sent), what=node.status)
        judged = compared(project, linear, forest)
        assert judged["common"] > 300
        podium(project, "join", "forest", "--share", "10%")
        time.sleep(1)
        opened = podium(project, "promote", "forest").stdout
        assert opened.count("open  ") == 3
        assert roles(node)[forest] == "champion"

        # Friday: a bad version joins, somebody is in a hurry, and a guard rolls back.
        module = project / "models" / "linear.py"
        module.write_text(module.read_text().replace(*BAD))
        podium(project, "train", "linear", "--join")
        bad = next(
            name for name, role in roles(node).items() if name.startswith("linear@") and name != linear
        )
        refused = podium(project, "promote", bad, code=1)
        assert "SHUT" in refused.stdout or "no gate can be judged" in refused.stderr
        podium(project, "promote", bad, "--force", "the customer waits")
        forced = time.monotonic()
        until(lambda: roles(node).get(forest) == "champion", seconds=15, what=node.status)
        print(f"the guard was back {time.monotonic() - forced:.1f} s after the promotion")

        # Saturday: a replay shows that it would have been caught.
        podium(project, "leave", bad)
        settle(node)
        replayed = podium(project, "replay", bad, "--since", "1h").stdout
        time.sleep(1)
    assert "scored" in replayed
    assert set(load.counts) == {200}, load
    assert load.rules["default"] == 0, load
    assert load.rules["share"] > 0, load
    assert {name: node.pid(name) for name in gateways} == gateways
    history = json.loads(podium(project, "history", "--json").stdout)
    assert [policy["author"] == "guard" for policy in history].count(True) == 1
    assert any(
        "forced (" in policy["reason"] and "the customer waits" in policy["reason"] for policy in history
    )
    archive = assert_archived_once(node, load)
    found = compared(project, forest, bad)
    errors = found["outputs"][0]["errors"]
    assert errors["b"]["mae"] > 1.5 * errors["a"]["mae"], errors
    digits = bad.partition("@")[2]
    assert archive.count(f"select * from scores where version = '{digits}' and replayed") > 500
