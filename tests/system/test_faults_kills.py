"""Processes are killed under steady load: what clients saw, and what the archive holds."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

from tests.system.conftest import Up
from tests.system.kept import assert_each_answer_kept_once
from tests.system.load import BROKEN, REFUSED, Load
from tests.system.running import edit, until

from podium.counters import merged, total

CALM = 0.7
"""Seconds of load before and after a fault."""

MANY = 2100
"""Rows of a request that is so large that the decoy sends only its digest."""

QUICK = 'timeout = "2s"'
"""For each model: so long after its deadline a score is still awaited."""


def test_a_killed_champion_fails_no_request_and_its_lost_scores_are_errors(project: Path, up: Up) -> None:
    edit(project, model=QUICK)
    node = up(project)
    with Load(node.url) as load:
        time.sleep(CALM)
        killed = node.send("worker linear 1", signal.SIGKILL)
        node.until_back("worker linear 1", killed)
        back = time.monotonic()
        time.sleep(CALM)
    assert set(load.counts) == {200}, load
    others = load.rules["challenger"] + load.rules["canary"] + load.rules["default"]
    assert others > 0, load
    assert "champion" in {seen.rule for seen in load.since(back)}
    archive = assert_each_answer_kept_once(node, load)
    errors = archive.rows("select distinct model, error from scores where status = 'error'")
    assert {model for model, _ in errors} == {"linear"}
    assert all("crashed" in error for _, error in errors)
    assert archive.count("select * from scores where model = 'linear'") == len(archive.ids("requests"))


def test_a_killed_challenger_is_not_noticed_by_clients(project: Path, up: Up) -> None:
    edit(project, model=QUICK)
    node = up(project)
    with Load(node.url) as load:
        time.sleep(CALM)
        killed = node.send("worker forest 1", signal.SIGKILL)
        node.until_back("worker forest 1", killed)
        time.sleep(CALM)
    assert set(load.counts) == {200}, load
    assert load.rules["champion"] > 0.5 * len(load.seen), load
    archive = assert_each_answer_kept_once(node, load)
    assert archive.rows("select distinct model from scores where status = 'error'") == [("forest",)]
    assert archive.count("select * from scores where model = 'forest'") == len(archive.ids("requests"))


def test_a_killed_archiver_archives_everything_once_in_the_end(project: Path, up: Up) -> None:
    node = up(project)
    with Load(node.url) as load:
        until(lambda: node.status().archived > 0)
        for _ in range(2):
            time.sleep(CALM)
            killed = node.send("archiver", signal.SIGKILL)
            node.until_back("archiver", killed)
    assert set(load.counts) == {200}, load
    archive = assert_each_answer_kept_once(node, load)
    assert archive.ids("answers") == load.answered


def test_a_killed_gateway_breaks_only_its_own_connections(project: Path, up: Up) -> None:
    node = up(project, "--gateways", "2")
    with Load(node.url) as load:
        time.sleep(CALM)
        moment = time.monotonic()
        killed = node.send("gateway 1", signal.SIGKILL)
        node.until_back("gateway 1", killed)
        time.sleep(CALM)
    assert set(load.counts) <= {200, BROKEN}, load
    assert load.counts[BROKEN] <= 16, load  # the connections that there were
    broken = [seen for seen in load.seen if seen.what == BROKEN]
    assert all(seen.began < moment + 1 for seen in broken)
    assert all(seen.what == 200 for seen in load.since(moment + 1))
    assert_each_answer_kept_once(node, load)


def test_a_killed_broker_is_back_soon_and_nobody_hangs(project: Path, up: Up) -> None:
    edit(project, model=QUICK)
    node = up(project)
    with Load(node.url) as load:
        time.sleep(CALM)
        killed = node.send("broker", signal.SIGKILL)
        moment = time.monotonic()
        node.until_back("broker", killed)
        until(lambda: any(seen.rule == "champion" for seen in load.since(moment + 0.1)))
        time.sleep(CALM)
    assert set(load.counts) <= {200, 503}, load
    champion = next(seen for seen in load.since(moment + 0.1) if seen.rule == "champion")
    away = champion.ended - moment
    print(f"the broker was away for {away:.2f} s: {load}")
    assert away < 10
    archive = assert_each_answer_kept_once(node, load)
    refused = {seen.id for seen in load.seen if seen.what == 503}
    assert not refused & archive.ids("answers")


def test_what_the_decoy_saw_of_large_requests_is_what_was_kept_and_there_once(project: Path, up: Up) -> None:
    rows = json.dumps([{"bmi": number / 8} for number in range(MANY)]).encode()
    node = up(project)
    with Load(node.url, connections=4, rate=40.0, bodies=(rows,)) as load:
        for name in ("archiver", "worker decoy 1", "broker", "archiver"):
            time.sleep(CALM)
            killed = node.send(name, signal.SIGKILL)
            node.until_back(name, killed)
        time.sleep(CALM)
    assert set(load.counts) <= {200, 503}, load
    archive = assert_each_answer_kept_once(node, load)
    seen = archive.ids("decoy")
    assert seen <= archive.ids("requests")
    assert len(seen) > 0.5 * len(load.answered), load  # what it did not see while it was dead it cannot have
    assert archive.count("select id, row, in_bmi from decoy") == MANY * len(seen)
    assert not archive.rows("select id, row, in_bmi from decoy except select id, row, in_bmi from requests")
    assert not total(merged(node.folder / ".podium" / "run" / "counters"), "unproven")


def test_a_killed_supervisor_takes_every_process_with_it(project: Path, up: Up) -> None:
    node = up(project)
    with Load(node.url) as load:
        time.sleep(CALM)
        node.send("supervisor", signal.SIGKILL)
        until(lambda: not node.left(), what=node.left)
        time.sleep(0.1)
    assert set(load.counts) <= {200, BROKEN, REFUSED}, load
