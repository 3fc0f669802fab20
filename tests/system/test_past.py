"""What was served is scored again, trained on, and forgotten, beside a node that goes on answering."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.system.conftest import Mount
from tests.system.kept import Archive, archive_of
from tests.system.load import Load
from tests.system.running import PODIUM, Node, podium, until
from tests.unit.archive.filled import fill
from tests.unit.archive.traffic import Process

from podium.project import load
from podium.schema import Field, Kind, Schema

Up = Callable[..., Node]
RATE = 60.0


@pytest.fixture
def other_linear(project: Path) -> str:
    """A second version of the champion, which is not live: `linear@2`."""
    module = project / "models" / "linear.py"
    module.write_text(
        module.read_text().replace("LinearRegression()", "LinearRegression(fit_intercept=False)")
    )
    pinned = (
        (project / "podium.toml").read_text().replace('role = "champion"', 'role = "champion"\nversion = "1"')
    )
    (project / "podium.toml").write_text(pinned)
    podium(project, "train", "linear")
    return "linear@2"


def test_a_version_that_was_not_there_scores_everything_while_the_others_answer(
    project: Path, up: Up, other_linear: str
) -> None:
    node = up(project)
    with Load(node.url, rate=RATE, connections=4) as load:
        until(lambda: len(load.answered) >= 100)
        until(lambda: node.status().archived >= 100, what=node.status)
        report = json.loads(podium(project, "replay", other_linear, "--since", "1h", "--json").stdout)
        seen = len(load.answered)
        until(lambda: len(load.answered) > seen + 20)
    assert set(load.counts) == {200}
    assert report["scored"] == report["of"] >= 100
    assert report["failed"] == 0
    assert report["agreement"] is None

    archive = archive_of(node)
    assert node.status().received == len(load.seen) == archive.count("select distinct id from requests")
    assert not archive.doubled("requests")
    assert not archive.doubled("answers")
    assert not archive.doubled("scores", "model", "version", "replayed")
    (found,) = archive.rows(
        "select count(*), count(distinct id), min(role), count(*) filter (out_progression is not null), "
        "min(model || '@' || version) from scores where replayed"
    )
    assert found == (
        report["scored"],
        report["scored"],
        "challenger",
        report["scored"],
        f"linear@{report['version']}",
    )

    again = podium(project, "replay", other_linear, "--since", "1h", code=1)
    assert f"{report['scored']:,} requests from" in again.stderr
    assert "--missing" in again.stderr
    rest = json.loads(podium(project, "replay", other_linear, "--since", "1h", "--missing", "--json").stdout)
    assert (rest["present"], rest["read"]) == (report["scored"], len(load.seen) - report["scored"])

    live = json.loads(podium(project, "replay", "linear@1", "--since", "1h", "--json").stdout)["agreement"]
    assert (live["rows"], live["equal"], live["different"]) == (len(load.seen), len(load.seen), 0)
    assert archive_of(node).count("select distinct id from scores where replayed") == len(load.seen)
    assert node.stop() == 0


def test_a_model_trains_on_what_was_served(project: Path, up: Up) -> None:
    node = up(project)
    rows = (project / "data" / "rows.csv").read_text().splitlines()[1:]
    for number, row in enumerate(rows):
        node.score(f"bmi={row.split(',')[0]}", podium_id=f"patient-{number}")
    until(lambda: node.status().archived == len(rows), what=node.status)
    for number in range(0, len(rows), 2):
        tell(node, f"patient-{number}", 100.0 + number)
    until(lambda: Archive(node).filled("outcomes"))
    until(lambda: Archive(node).count("from outcomes") == len(rows) // 2)

    said = podium(project, "export", "--since", "1h", "--out", "data/served.csv").stdout
    assert f"{len(rows)} rows" in said
    assert f"{len(rows) // 2} with an outcome" in said
    (block,) = re.findall(r"^```python\n(.*?)^```", (project / "README.md").read_text(), re.M | re.S)
    (project / "models" / "served.py").write_text(block)
    with (project / "podium.toml").open("a") as file:
        file.write('\n[models.served]\nmodule = "models/served.py"\nrole = "challenger"\n')
    trained = podium(project, "train", "served").stdout
    assert re.search(r"^served 1 .*^  metrics  mae=\d", trained, re.M | re.S)
    replayed = podium(project, "replay", "served", "--since", "1h").stdout
    assert f"scored {len(rows)} of {len(rows)} requests" in replayed


def tell(node: Node, id: str, progression: float) -> None:
    """What really happened."""
    body = json.dumps({"progression": progression}).encode()
    request = urllib.request.Request(f"{node.url}/outcome/diabetes/{id}", data=body, method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status in (200, 202)


def test_a_key_is_forgotten_while_the_node_goes_on(project: Path, up: Up) -> None:
    node = up(project)
    with Load(node.url, rate=RATE, connections=4, headers={"podium-key": "bob"}) as load:
        for number in range(10):
            node.score(podium_key="alice-of-Ulm", podium_id=f"alice-{number}")
        done = json.loads(podium(project, "forget", "--key", "alice-of-Ulm", "--yes", "--json").stdout)
        assert done["requests"] == 10
        assert (done["rows"]["requests"], done["rows"]["scores"], done["rows"]["decoy"]) == (10, 30, 10)
        seen = len(load.answered)
        until(lambda: len(load.answered) > seen + 60)
    assert set(load.counts) == {200}
    until(lambda: node.status().archived == len(load.seen) + 10, what=node.status)

    archive = Archive(node)
    bobs = {seen.id for seen in load.seen}
    for table in ("requests", "scores", "answers", "decoy"):
        assert archive.ids(table) == bobs, table
        assert not archive.doubled(table, *(["model"] if table == "scores" else []))
    assert "ARCHIVING HAS STOPPED" not in node.log("archiver")
    again = podium(project, "forget", "--key", "alice-of-Ulm", "--yes", code=1)
    assert "nothing of key 'alice-of-Ulm' is archived" in again.stderr
    assert node.stop() == 0
    assert not list(holding(project / ".podium" / "stream", b"alice-of-Ulm"))
    tables = project / ".podium" / "archive"
    assert not [path for path in holding(tables, b"alice-of-Ulm") if "_delta_log" not in path.parts]


def holding(folder: Path, text: bytes) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and text in path.read_bytes():
            yield path


def test_forget_asks_and_needs_a_node(project: Path, up: Up) -> None:
    stopped = podium(project, "forget", "--id", "a", "--yes", code=1)
    assert "`podium up` starts it" in stopped.stderr
    node = up(project)
    node.score(podium_id="a")
    asked = subprocess.run(
        [*PODIUM, "forget", "--id", "a"],
        cwd=project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert asked.returncode == 2
    assert "1 request of id 'a' on diabetes would be removed for good: say --yes" in asked.stderr
    assert archive_of(node).ids("requests") == {"a"}


def test_a_disk_that_fills_up_holds_no_half_of_an_export(project: Path, tmp_path: Path, mount: Mount) -> None:
    small = tmp_path / "small"
    mount(small, 1024 * 1024)
    gateway = Process()
    ids = [f"{secrets.token_hex(50)}-{n}" for n in range(20_000)]
    inputs = load(project).endpoint.inputs
    assert inputs is not None
    random = np.random.default_rng(1)
    columns = {name: random.normal(size=len(ids)) for name in inputs.names}
    outputs = Schema((Field(name="progression", type=Kind.FLOAT),))
    fill(project / ".podium" / "archive", [gateway.input(ids, columns)], inputs, outputs)
    (small / "served.csv").write_text("the one from yesterday")
    since = ("--since", "2023-11-14", "--until", "2023-11-15")
    for name in ("served.csv", "served.parquet"):
        failed = podium(project, "export", *since, "--out", str(small / name), code=1)
        assert "No space left on device" in failed.stderr
        assert failed.stderr.count("\n") == 1
    assert (small / "served.csv").read_text() == "the one from yesterday"
    assert [path.name for path in small.iterdir()] == ["served.csv"]
