"""One endpoint behind every door at once: what each contender scores, and what the kill of each costs."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from bench.doors import keep
from bench.peers.base import Site
from bench.peers.kserve.peer import PEER as KSERVE
from bench.ports import free_port
from tests.system import faulty
from tests.system.kept import assert_each_answer_kept_once, assert_scores_agree
from tests.system.load import Load
from tests.system.peers import needs, running
from tests.system.running import Node, command_of, edit, scored, until

EXAMPLES = Path(__file__).parents[2] / "examples"
COMMANDS = {"r": "/usr/lib/R/bin/exec/R", "node": "node models/rule.js"}
STREAMED = "node node/worker.js"
USED = (*COMMANDS, "python", "sql", "streamed", "kserve")
KSERVE_TABLE = """
[models.kserve]
url = "http://127.0.0.1:{port}/v1/models/bench:predict"
protocol = "vertex"
layout = "lists"
role = "challenger"
examples = [{{ bmi = 0.05, s5 = 0.01 }}]
"""
TRAIN = """\
import pickle, sys
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression

x, y = load_diabetes(return_X_y=True)
x = x[:, [2, 8]]  # bmi and s5, as in the examples
with open(sys.argv[1], "wb") as file:
    pickle.dump(LinearRegression().fit(x[:-20], y[:-20]), file)
"""


class Served:
    """KServe's Python server with the examples' model, on a port that it keeps when it is started again."""

    def __init__(self, folder: Path) -> None:
        python = needs("kserve") / "python"
        subprocess.run([python, "-c", TRAIN, folder / "linear.pkl"], check=True, timeout=60)
        self._site = Site(bin=python.parent, models=folder, scratch=folder, port=free_port())
        self.port = self._site.port
        self._stack = ExitStack()
        self.start()

    def start(self) -> None:
        launch = KSERVE.launch(self._site, "linear", "v1")
        self.process = self._stack.enter_context(running(launch, self._site.scratch / "log"))

    def end(self) -> None:
        self._stack.close()


@pytest.fixture
def kserve(tmp_path: Path) -> Iterator[Served]:
    folder = tmp_path / "kserve"
    folder.mkdir()
    server = Served(folder)
    try:
        yield server
    finally:
        server.end()


@pytest.fixture
def node(tmp_path: Path, kserve: Served) -> Iterator[Node]:
    """A node of Python, R, Node.js, SQL, a worker on the stream and KServe's server."""
    if missing := [name for name in ("Rscript", "node", "npm") if shutil.which(name) is None]:
        pytest.skip(f"{', '.join(missing)} is not installed")
    folder = shutil.copytree(EXAMPLES / "languages", tmp_path / "languages")
    keep(folder, USED)
    shutil.copytree(EXAMPLES / "stream" / "node", folder / "node")
    streams = (EXAMPLES / "stream" / "podium.toml").read_text()
    streamed = re.search(r"^\[models\.node\]\n((?:.+\n)*)", streams, flags=re.MULTILINE)
    assert streamed is not None
    with (folder / "podium.toml").open("a") as file:
        file.write(f"\n[models.streamed]\n{streamed[1]}")
        file.write(KSERVE_TABLE.format(port=kserve.port))
    edit(folder, deadline="1s")
    faulty.train(folder)
    with faulty.node_of(folder) as node:
        yield node.start()


def test_contenders_behind_every_door_score_the_same_and_the_kill_of_each_costs_no_request(
    node: Node, kserve: Served
) -> None:
    bodies = [json.dumps({"bmi": step / 100, "s5": -step / 70}).encode() for step in range(-9, 10)]

    def until_scores(model: str) -> None:
        before = scored(node, model)
        until(lambda: scored(node, model) > before + 20, what=lambda: node.log(f"worker {model} 1"))

    with Load(node.url, rate=60, bodies=bodies) as load:
        for model in USED:
            until_scores(model)
        for model, line in COMMANDS.items():
            os.kill(command_of(node, model, line), signal.SIGKILL)
            until_scores(model)
            assert node.process(f"worker {model} 1").restarts == 0
        for model in ("sql", "python"):
            gone = node.send(f"worker {model} 1", signal.SIGKILL)
            node.until_back(f"worker {model} 1", gone)
            until_scores(model)
        gone = node.pid("worker streamed 1")
        os.kill(command_of(node, "streamed", STREAMED), signal.SIGKILL)
        node.until_back("worker streamed 1", gone)
        until_scores("streamed")
        os.kill(kserve.process.pid, signal.SIGKILL)
        kserve.process.wait(10)
        kserve.start()
        until_scores("kserve")
        assert node.process("worker kserve 1").restarts == 0
    assert set(load.counts) == {200}, load
    assert not load.rules["default"], load
    archive = assert_each_answer_kept_once(node, load)
    assert_scores_agree(archive, USED)
    for model in (*COMMANDS, "streamed"):
        assert "was killed by SIGKILL" in node.log(f"worker {model} 1")
