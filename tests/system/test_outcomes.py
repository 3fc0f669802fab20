"""Ground truth on real processes: it is taken, archived once, and meets every contender's score."""

from __future__ import annotations

import json
import signal
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import duckdb
import pytest
from tests.system.conftest import Up
from tests.system.kept import Archive
from tests.system.running import PATIENCE, Node, podium, until

from podium.archive.outcomes import judged
from podium.project import load


@pytest.fixture
def node(project: Path, up: Up) -> Node:
    return up(project, "--gateways", "2")


def send(node: Node, route: str, body: Any, **headers: str) -> tuple[int, Any]:
    """On a connection of its own, so that any of the gateways may get it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{node.url}{route}", json.dumps(body).encode(), named)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as error:
        return error.code, json.loads(error.read())


def archived(node: Node, count: int) -> None:
    until(lambda: node.status().outcomes_archived >= count, what=node.status)
    assert node.status().outcomes_archived == node.status().outcomes == count


def truths(node: Node) -> dict[tuple[str, int], dict[str, float]]:
    """For each row whose outcome is known: what it was, by who scored it."""
    project = load(node.folder)
    with duckdb.connect() as connection:
        found = judged(connection, project.archive.location, project.name, ["progression"])
        rows = found.project("id, row, model, true_progression").fetchall()
    by_row: dict[tuple[str, int], dict[str, float]] = {}
    for id, row, model, true in rows:
        by_row.setdefault((id, row), {})[model] = true
    return by_row


def test_outcomes_meet_every_contenders_score_also_after_restarts_of_the_archiver(node: Node) -> None:
    everybody = ("linear", "forest", "reference")
    single = node.score()["id"]
    status, several = send(node, "/score/diabetes", [{"bmi": 0.01}, {"bmi": 0.02}], podium_id="order/17 50%")
    assert status == 200

    # At once, before the request is archived; and through whichever gateway.
    assert send(node, f"/outcome/diabetes/{single}", {"progression": 150})[0] == 200
    assert (
        send(node, "/outcome/diabetes/order%2F17%2050%25", [{"progression": 1}, {"progression": 2}])[0] == 200
    )
    status, problem = send(node, "/outcome/diabetes/nobody", {"progression": 1})
    assert (status, problem["type"]) == (404, "/docs/problems#unknown-request")
    status, problem = send(
        node, "/outcome/diabetes", [{"id": single, "row": 1, "outcome": {"progression": 1}}]
    )
    assert (status, problem["path"]) == (422, "$[0].row")
    archived(node, 3)

    # A correction, while there is no archiver to ask.
    node.send("archiver", signal.SIGSTOP)
    status, reply = send(
        node, f"/outcome/diabetes/{single}", {"progression": 151}, podium_observed="2026-01-01T00:00:00Z"
    )
    assert (status, reply["observed"]) == (202, "2026-01-01T00:00:00Z")
    gone = node.send("archiver", signal.SIGKILL)
    node.until_back("archiver", gone)
    archived(node, 4)

    # A file.
    lines = ["id,row,progression", f"{several['id']},1,3", f"{node.score()['id']},0,4"]
    (node.folder / "outcomes.csv").write_text("\n".join(lines))
    assert "2 outcomes taken" in podium(node.folder, "outcome", "--file", "outcomes.csv").stdout
    archived(node, 6)

    archive = Archive(node)
    assert archive.doubled("outcomes", "received") == []
    assert archive.count("select * from outcomes") == 6, "corrections do not replace what they correct"
    found = truths(node)
    assert found.pop((single, 0)) == dict.fromkeys(everybody, 151.0)
    assert found.pop(("order/17 50%", 0)) == dict.fromkeys(everybody, 1.0)
    assert found.pop(("order/17 50%", 1)) == dict.fromkeys(everybody, 3.0)
    assert list(found.values()) == [dict.fromkeys(everybody, 4.0)]
