"""A disk that is full: answering goes on, `status` says it loudly, and what was lost is counted."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

from tests.system.conftest import Mount, Up
from tests.system.kept import Archive, assert_each_answer_kept_once
from tests.system.load import Load
from tests.system.running import podium, until

from podium.streams.receipts import CONFIRM_EVERY

ARCHIVE_BYTES = 4 * 1024 * 1024
STREAM_BYTES = 8 * 1024 * 1024
CALM = 0.7
PUBLISHERS = 5  # the gateway, three contenders and the decoy
UNSURE = PUBLISHERS * CONFIRM_EVERY
"""A confirmation, or a refusal, is taken for all messages since the last one."""

MANY_ROWS = b"[" + b", ".join([b'{"bmi": 0.05}'] * 400) + b"]"


def fill(folder: Path) -> Path:
    """Take all the room there is."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return ballast


def test_a_full_archive_delays_the_tables_and_nothing_else(project: Path, mount: Mount, up: Up) -> None:
    mount(project / ".podium" / "archive", ARCHIVE_BYTES)
    node = up(project)
    with Load(node.url, rate=100) as load:
        until(lambda: node.status().archived > 0)
        ballast = fill(project / ".podium" / "archive")
        until(lambda: node.status().archive_failing)
        said = podium(project, "status").stdout
        time.sleep(CALM)
        archived = node.status().archived
        ballast.unlink()
        until(lambda: node.status().archived > archived)
    assert "ARCHIVING FAILS" in said
    assert "No space" in node.log("archiver")
    assert set(load.counts) == {200}, load
    archive = assert_each_answer_kept_once(node, load)
    assert archive.ids("answers") == load.answered
    found = node.status()
    assert not found.archive_failing
    assert found.unkept == 0


def test_a_full_disk_under_the_stream_is_waited_out_in_memory(project: Path, mount: Mount, up: Up) -> None:
    mount(project / ".podium" / "stream", STREAM_BYTES)
    node = up(project)
    with Load(node.url, rate=100) as load:
        time.sleep(CALM)
        ballast = fill(project / ".podium" / "stream")
        until(lambda: node.status().overdue > 0, what=node.status)
        said = podium(project, "status").stdout
        full = node.status()
        time.sleep(CALM)
        assert set(load.counts) == {200}, load
        ballast.unlink()
        until(lambda: node.process("broker").restarts > 0, what=lambda: node.log("broker")[-3000:])
        until(lambda: node.status().overdue == 0, what=node.status)
        time.sleep(CALM)
    assert "THE STREAM KEEPS NOTHING" in said
    assert next(each for each in full.processes if each.name == "broker").restarts == 0
    assert set(load.counts) <= {200, 503}, load
    archive = assert_each_answer_kept_once(node, load)
    assert archive.ids("answers") == load.answered
    assert node.status().unkept == 0


def test_a_stream_at_its_limit_counts_what_it_loses_and_keeps_again_once_there_is_room(
    project: Path, mount: Mount, up: Up
) -> None:
    mount(project / ".podium" / "stream", STREAM_BYTES)  # of which the stream takes half
    node = up(project)
    archiver = node.send("archiver", signal.SIGSTOP)
    with Load(node.url, connections=1, rate=100, bodies=[MANY_ROWS]) as load:
        until(lambda: node.status().unkept > 0)
        time.sleep(CALM)
        said = podium(project, "status").stdout
    os.kill(archiver, signal.SIGCONT)
    assert "could not be kept" in said
    assert set(load.counts) == {200}, load
    stream = project / ".podium" / "stream"
    until(lambda: shutil.disk_usage(stream).used < STREAM_BYTES // 4)  # archived, and so forgotten
    with Load(node.url, rate=100) as after:
        time.sleep(CALM)
    assert set(after.counts) == {200}, after
    until(lambda: after.answered <= Archive(node).ids("answers"), what=node.status)
    archive = Archive(node)
    for table in ("requests", "answers", "decoy"):
        assert not archive.doubled(table)
    assert not archive.doubled("scores", "model")
    lost = missing(archive, load.answered)
    assert lost > 0
    assert abs(node.status().unkept - lost) <= UNSURE


def missing(archive: Archive, answered: set[str]) -> int:
    """Messages about answered requests, one in a frame, that no table has."""
    scored = {model: set[str]() for model in ("linear", "forest", "reference")}
    for id, model in archive.rows("select distinct id, model from scores"):
        scored[model].add(id)
    tables = [archive.ids(table) for table in ("requests", "answers", "decoy")]
    return sum(len(answered - kept) for kept in (*tables, *scored.values()))
