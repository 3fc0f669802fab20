"""Processes hang under steady load: what clients saw, and what the archive holds."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from tests.system.conftest import Up
from tests.system.kept import assert_each_answer_kept_once
from tests.system.load import Load
from tests.system.running import edit, until

CALM = 0.7
QUICK = 'timeout = "2s"'


def test_a_hanging_champion_is_replaced_while_the_others_answer(project: Path, up: Up) -> None:
    edit(project, model=QUICK)
    node = up(project)
    with Load(node.url) as load:
        time.sleep(CALM)
        stopped = node.send("worker linear 1", signal.SIGSTOP)
        node.until_back("worker linear 1", stopped)
        back = time.monotonic()
        time.sleep(CALM)
    assert set(load.counts) == {200}, load
    assert load.rules["challenger"] + load.rules["canary"] > load.rules["default"], load
    assert "champion" in {seen.rule for seen in load.since(back)}
    assert "no sign of life" in (node.process("worker linear 1").reason or "")
    archive = assert_each_answer_kept_once(node, load)
    assert archive.rows("select distinct model from scores where status = 'error'") == [("linear",)]
    assert archive.count("select * from scores where model = 'linear'") == len(archive.ids("requests"))


def test_a_broker_that_hangs_for_a_while_delays_nobody_beyond_the_deadline(project: Path, up: Up) -> None:
    node = up(project)
    with Load(node.url) as load:
        time.sleep(CALM)
        node.send("broker", signal.SIGSTOP)
        time.sleep(3)
        node.send("broker", signal.SIGCONT)
        moment = time.monotonic()
        until(lambda: any(seen.rule == "champion" for seen in load.since(moment)))
        time.sleep(CALM)
    assert set(load.counts) <= {200, 503}, load
    assert load.rules["default"] > 0, load
    assert node.process("broker").restarts == 0
    archive = assert_each_answer_kept_once(node, load)
    assert archive.ids("answers") == load.answered


def test_a_broker_that_hangs_for_good_is_replaced(project: Path, up: Up) -> None:
    node = up(project)
    with Load(node.url, rate=100) as load:
        time.sleep(CALM)
        stopped = node.send("broker", signal.SIGSTOP)
        node.until_back("broker", stopped)
        moment = time.monotonic()
        until(lambda: any(seen.rule == "champion" for seen in load.since(moment)))
    assert set(load.counts) <= {200, 503}, load
    assert_each_answer_kept_once(node, load)
