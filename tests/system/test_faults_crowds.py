"""More requests at once than the limit."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from tests.system.conftest import Up
from tests.system.kept import assert_each_answer_kept_once
from tests.system.load import Load
from tests.system.running import edit

LIMIT = 4


def test_more_in_flight_than_the_limit_are_refused_at_once(project: Path, up: Up) -> None:
    edit(project, limits=f"in_flight = {LIMIT}", deadline="1s", model='timeout = "2s"')
    node = up(project)
    workers = [f"worker {model} 1" for model in ("linear", "forest", "reference")]
    for worker in workers:  # nobody scores, so each request waits for its deadline
        node.send(worker, signal.SIGSTOP)
    with Load(node.url, connections=4 * LIMIT, rate=200) as load:
        time.sleep(1.2)
    assert set(load.counts) == {200, 429}, load
    refused = [seen for seen in load.seen if seen.what == 429]
    assert all(seen.headers["retry-after"].isdigit() for seen in refused)
    assert max(seen.ended - seen.began for seen in refused) < 0.9
    assert load.rules["default"] == load.counts[200]
    assert load.counts[200] <= 3 * LIMIT
    assert node.status().refused == load.counts[429]
    archive = assert_each_answer_kept_once(node, load)
    assert archive.ids("answers") == load.answered
