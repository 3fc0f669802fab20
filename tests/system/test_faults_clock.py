"""The clock of the machine jumps under load; here libfaketime makes it jump for all of Podium's processes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.system.conftest import Up
from tests.system.kept import assert_each_answer_kept_once
from tests.system.load import Load
from tests.system.running import edit, until

CALM = 0.7
LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


@pytest.mark.skipif(not LIBRARIES, reason="libfaketime is not installed (Debian's package faketime)")
@pytest.mark.parametrize("jump", ["+3600s", "-3600s"])
def test_a_clock_that_jumps_fails_no_request_and_kills_no_process(project: Path, up: Up, jump: str) -> None:
    edit(project, model='timeout = "2s"', deadline="1s")
    offset = project / "offset"
    offset.write_text("+0s")
    node = up(
        project,
        env={
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        },
    )
    with Load(node.url, connections=8, rate=100) as load:
        time.sleep(CALM)
        offset.write_text(jump)
        time.sleep(3 * CALM)
        settled = time.monotonic()
        until(lambda: "champion" in {seen.rule for seen in load.since(settled)})
    assert set(load.counts) == {200}, load
    assert all(process.restarts == 0 for process in node.status().processes)
    archive = assert_each_answer_kept_once(node, load)
    assert archive.ids("answers") == load.answered
    hours = archive.rows("select max(received) - min(received) > interval '50 minutes' from requests")
    assert hours == [(True,)]
