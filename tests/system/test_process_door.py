"""Contenders in several languages on one endpoint: killed under load, and misbehaving in every way."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.doors import keep
from tests.system import faulty
from tests.system.kept import assert_each_answer_kept_once, assert_scores_agree
from tests.system.load import Load
from tests.system.running import Node, alive, below, command_of, processes, scored, until

LANGUAGES = Path(__file__).parents[2] / "examples" / "languages"
USED = ("python", "node", "perl", "sql")
PROGRAMS = {"node": "node models/rule.js", "perl": "perl models/rule.pl"}


@pytest.fixture
def languages(tmp_path: Path) -> Iterator[Node]:
    """A node of Python, Node.js, Perl and SQL."""
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        pytest.skip(f"{', '.join(missing)} is not installed")
    folder = shutil.copytree(LANGUAGES, tmp_path / "languages")
    keep(folder, USED)
    faulty.train(folder)
    with faulty.node_of(folder) as node:
        yield node.start()


def test_contenders_of_several_languages_score_the_same_while_each_is_killed(languages: Node) -> None:
    node = languages
    bodies = [json.dumps({"bmi": step / 100, "s5": -step / 70}).encode() for step in range(-9, 10)]
    with Load(node.url, rate=100, bodies=bodies) as load:
        until(lambda: min(scored(node, name) for name in USED) > 20)
        for name, line in PROGRAMS.items():
            before = scored(node, name)
            os.kill(command_of(node, name, line), signal.SIGKILL)
            until(lambda name=name, before=before: scored(node, name) > before + 20)  # type: ignore[misc]
            assert node.process(f"worker {name} 1").restarts == 0
        for name in ("sql", "python"):
            gone = node.send(f"worker {name} 1", signal.SIGKILL)
            node.until_back(f"worker {name} 1", gone)
    assert set(load.counts) == {200}, load
    archive = assert_each_answer_kept_once(node, load)
    assert_scores_agree(archive, USED)
    assert "was killed by SIGKILL" in node.log("worker node 1")


def test_nothing_of_a_command_outlives_its_worker_or_its_node(languages: Node) -> None:
    node = languages
    first = below(node.pid("worker node 1"))
    gone = node.send("worker node 1", signal.SIGKILL)
    node.until_back("worker node 1", gone)
    until(lambda: not any(alive(pid) for pid in first))
    rest = below(node.pid("worker perl 1")) | below(node.pid("worker node 1"))
    assert len(rest) == 4
    assert node.stop() == 0
    until(lambda: not any(alive(pid) for pid in rest))


# --- a command that misbehaves --------------------------------------------------------------

SECONDS = f"71.{secrets.randbelow(10**9)}"
"""What a forked process sleeps: nobody else's is to be taken for it."""

MOODY = """\
import json, os, subprocess, sys, time

NOISE, END, HANG, WRONG, FLOOD, FORK, HALF, SHORT, HUGE, BYTES = range(10, 20)


def say(text, end="\\n"):
    sys.stdout.write(text + end)
    sys.stdout.flush()


for line in sys.stdin:
    asked = json.loads(line)
    id, bmi = asked["id"], asked["columns"]["bmi"]
    good = json.dumps({"id": id, "columns": {"progression": [1000.0 + value for value in bmi]}})
    if NOISE in bmi:
        say("thinking ...")
    if END in bmi:
        sys.exit(7)
    while HANG in bmi:
        time.sleep(1)
    if WRONG in bmi:
        say(good.replace(f'"id": {id}', '"id": 123456789'))
        continue
    if FLOOD in bmi:
        for _ in range(50_000):
            sys.stderr.write("flood " * 20 + "\\n")
    if FORK in bmi:
        subprocess.Popen(["sleep", "SECONDS"], start_new_session=True)
    if HALF in bmi:
        say(good[:20], end="")
        sys.exit(0)
    if SHORT in bmi:
        good = json.dumps({"id": id, "columns": {"progression": []}})
    if HUGE in bmi:
        say("x" * 70_000_000)
        continue
    if BYTES in bmi:
        sys.stdout.buffer.write(b'{"id": 1, "error": "\\xff"}\\n')
    say(good)
"""

FAULTS = {
    "noise": (10, "standard output has 'thinking ...' where an answer belongs"),
    "its_end": (11, "ended with exit status 7"),
    "another_id": (13, "answered the id 123456789, but was asked"),
    "half_a_line": (16, "in the middle of a line"),
    "too_few_rows": (17, "has 0 rows, expected 1"),
    "a_huge_answer": (18, "a line of more than 64 MB"),
    "not_utf8": (19, "standard output is not UTF-8"),
    "no_answer": (12, "has not answered within 2.0 s"),
}
WELL = {"a_flood": 14, "forks": 15}


@pytest.fixture
def moody(tmp_path: Path) -> Iterator[Node]:
    """A node whose champion is a command that behaves as its input tells it to."""
    keys = f'command = ["{sys.executable}", "-S", "models/moody.py"]'
    files = {"moody.py": MOODY.replace("SECONDS", SECONDS)}
    folder = faulty.write(tmp_path / "diabetes", "moody", keys, files=files)
    faulty.train(folder)
    with faulty.node_of(folder) as node:
        yield node.start()


def test_a_command_that_misbehaves_is_an_error_in_status_archive_and_log_and_another_answers(
    moody: Node,
) -> None:
    node = moody
    faulty.assert_each_is_told(node, "moody", FAULTS)
    for name, bmi in WELL.items():
        assert node.score(f"bmi={bmi}", podium_id=name)["model"] == "moody"
    assert len(node.log("worker moody 1")) < 200_000  # the flood is not in it
    assert node.process("worker moody 1").restarts == 0
    sleepers = [pid for pid, (_, line) in processes().items() if line == f"sleep {SECONDS}"]
    assert len(sleepers) == 1
    assert node.stop() == 0
    until(lambda: not any(alive(pid) for pid in sleepers))
