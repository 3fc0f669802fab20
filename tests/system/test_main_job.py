"""The main job from an empty folder, with the words that a stranger would type."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.system.kept import archive_of, assert_each_answer_kept_once
from tests.system.load import Load
from tests.system.running import Node, podium, until

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
STATUS = {"endpoint", "ready", "revision", "received", "answered", "defaulted", "archived"}
CONTENDER = {"model", "version", "number", "role", "share", "state"} | {
    "scored", "late", "errors", "answered", "p50_ms", "p99_ms",
}  # fmt: skip
PROCESS = {"name", "pid", "state", "restarts", "rss_mb"}
PROCESSES = {
    "broker", "gateway 1", "worker linear 1", "worker forest 1", "worker reference 1", "worker decoy 1",
    "archiver", "supervisor",
}  # fmt: skip


@pytest.fixture(scope="module")
def node(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """After `podium new` and `podium train` (the template): `podium up`."""
    folder = shutil.copytree(template, tmp_path_factory.mktemp("main") / "diabetes", symlinks=True)
    node = Node(folder)
    try:
        yield node.start()
    finally:
        node.end()


def curl(node: Node, path: str, *options: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and body, as curl shows them."""
    done = subprocess.run(
        ["curl", "-s", "-i", "-m", "10", *options, f"{node.url}{path}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    head, _, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
    first, *lines = head.split("\n")
    return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in lines), body


def metrics(node: Node) -> dict[str, float]:
    """Each metric's sum over all its labels."""
    totals: dict[str, float] = {}
    for family in text_string_to_metric_families(curl(node, "/metrics")[2]):
        for sample in family.samples:
            totals[sample.name] = totals.get(sample.name, 0.0) + sample.value
    return totals


# --- answers --------------------------------------------------------------------------------


def test_up_says_what_runs_and_what_to_do_next(node: Node) -> None:
    until(lambda: "Ready in" in node.output(), what=node.output)  # `status` may know it a moment earlier
    said = node.output()
    for words in ("is champion", "is challenger", "is canary", "decoy", "curl", "podium status", "Ctrl-C"):
        assert words in said


def test_a_get_from_the_address_bar_is_answered(node: Node) -> None:
    status, headers, body = curl(node, "/score/diabetes?bmi=0.05")
    answer = json.loads(body)
    assert status == 200
    assert set(answer) == {"id", "answer", "model", "version", "rule", "ms"}
    assert set(answer["answer"]) == {"progression"}
    assert (answer["model"], answer["rule"]) == ("linear", "champion")
    assert headers["podium-id"] == answer["id"]
    assert headers["podium-model"] == f"linear@{answer['version']}"


def test_a_posted_row_and_a_list_of_rows_get_the_same_answers(node: Node) -> None:
    one = json.loads(curl(node, "/score/diabetes", "-d", '{"bmi": 0.05}')[2])["answer"]
    status, _, body = curl(node, "/score/diabetes", "-d", '[{"bmi": 0.05}, {"bmi": 0.01, "bp": 0.02}]')
    assert status == 200
    many = json.loads(body)["answer"]
    assert many[0] == one
    assert many[1] != one
    assert len(many) == 2


def test_the_callers_id_and_trace_go_through_to_the_archive(node: Node) -> None:
    sent = ["-H", "podium-id: mine", "-H", f"traceparent: {TRACE}", "-H", "podium-key: patient-7"]
    _, headers, body = curl(node, "/score/diabetes?bmi=0.05", *sent)
    assert json.loads(body)["id"] == headers["podium-id"] == "mine"
    assert headers["traceparent"] == TRACE
    archive = archive_of(node)
    assert archive.rows("select key, trace from requests where id = 'mine'") == [("patient-7", TRACE)]
    assert archive.rows("select model, rule from answers where id = 'mine'") == [("linear", "champion")]
    assert archive.count("select * from scores where id = 'mine'") == 3
    assert archive.rows("select in_bmi from decoy where id = 'mine'") == [(0.05,)]


@pytest.mark.parametrize("model", ["linear", "forest", "reference"])
def test_a_request_can_force_a_contender(node: Node, model: str) -> None:
    contender = next(c for c in node.status().contenders if c.model == model)
    for word in (model, f"{model}@1", f"{model}@{contender.version}"):
        answer = node.score(podium_force=word, podium_deadline="5s")
        assert (answer["model"], answer["version"]) == (model, contender.version)
        assert answer["rule"] == "forced"


def test_nobody_in_time_gets_the_default_answer(node: Node) -> None:
    before = node.status().defaulted
    answer = node.score(podium_deadline="0ms")
    assert answer["answer"] == {"progression": 152.13}
    assert (answer["model"], answer["version"], answer["rule"]) == (None, None, "default")
    assert node.status().defaulted == before + 1


# --- commands -------------------------------------------------------------------------------


def test_score_answers_on_the_command_line(node: Node) -> None:
    for words in (['{"bmi": 0.05}'], ["diabetes", '{"bmi": 0.05}']):
        answer = json.loads(podium(node.folder, "score", *words).stdout)
        assert answer["answer"] == node.score()["answer"]
    refused = podium(node.folder, "score", '{"bmx": 0.05}', code=1)
    assert "bmi" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_score_takes_a_file_and_keeps_its_order(node: Node) -> None:
    with (node.folder / "data" / "rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    done = podium(node.folder, "score", "--file", "data/rows.csv")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(rows)
    last = node.score("&".join(f"{name}={rows[-1][name]}" for name in ("bmi", "bp", "s5")))
    assert answers[-1]["progression"] == pytest.approx(last["answer"]["progression"])


def test_status_has_the_fields_that_tools_rely_on(node: Node) -> None:
    node.score()
    found: dict[str, Any] = json.loads(podium(node.folder, "status", "diabetes", "--json").stdout)
    assert set(found) >= STATUS | {"contenders", "processes"}
    assert all(set(contender) >= CONTENDER for contender in found["contenders"])
    assert all(set(process) >= PROCESS for process in found["processes"])
    assert {process["name"] for process in found["processes"]} == PROCESSES
    assert found["ready"]
    linear = next(contender for contender in found["contenders"] if contender["model"] == "linear")
    assert (linear["role"], linear["number"], linear["share"], linear["state"]) == (
        "champion", 1, None, "ready",
    )  # fmt: skip
    assert len(linear["version"]) == 12
    assert 0 < linear["p50_ms"] <= linear["p99_ms"]


def test_metrics_count_what_status_counts(node: Node) -> None:
    archive_of(node)
    found, shown = node.status(), metrics(node)
    assert shown["podium_requests_received_total"] == found.received
    assert shown["podium_requests_answered_total"] == found.answered
    assert shown["podium_requests_defaulted_total"] == found.defaulted
    assert shown["podium_requests_archived"] == found.archived
    assert shown["podium_contender_scores_total"] == sum(c.scored for c in found.contenders)
    assert shown["podium_answer_seconds_count"] > 0


# --- a fault, and the end -------------------------------------------------------------------


def test_the_champions_end_fails_no_request_and_a_stop_leaves_nothing(node: Node) -> None:
    with Load(node.url, rate=100) as load:
        until(lambda: load.rules["champion"] > 20)
        killed = node.send("worker linear 1", signal.SIGKILL)
        node.until_back("worker linear 1", killed)
    assert set(load.counts) == {200}, load
    archive = assert_each_answer_kept_once(node, load)
    assert archive.ids("answers") >= load.answered
    assert node.stop() == 0
    assert not node.left()
    assert "Stopped. Received" in node.output()
    assert "podium up" in podium(node.folder, "status", code=1).stderr
