"""Workers on the stream, in other languages: they keep the protocol, and endure what ours endure."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.doors import keep
from tests.system import faulty
from tests.system.kept import assert_each_answer_kept_once
from tests.system.load import Load
from tests.system.running import Node, alive, command_of, scored, until

from podium import project as projects
from podium.cli import outside
from podium.models import commands
from podium.models.checks import Verdict
from podium.models.declared import described
from podium.models.process.child import Launch

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "stream"
NEEDED = {"node": ("node", "npm"), "go": ("go",)}
GO_LIBRARY = Path("/usr/share/gocode/src/github.com/nats-io/nats.go")
VECTORS = {"node": ("node", "node/vectors.js"), "go": ("go/worker", "vectors")}
CALM = 0.7
WORKER = "node node/worker.js"
SCORE = 192.5261153568923


def needs(language: str) -> None:
    if missing := [program for program in NEEDED[language] if shutil.which(program) is None]:
        pytest.skip(f"{', '.join(missing)} is not installed")
    if language == "go" and not GO_LIBRARY.exists():
        pytest.skip("golang-github-nats-io-go-nats-dev is not installed")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Launch]:
    """Each worker as its package would have it, built at most once; filled by who needs one."""
    return {}


def launch_of(language: str, built: dict[str, Launch], factory: pytest.TempPathFactory) -> Launch:
    needs(language)
    if language not in built:
        command = projects.load(EXAMPLES).models[language].command
        assert command is not None
        folder = factory.mktemp(language)
        kept = commands.gather(command, root=EXAMPLES, into=folder)
        built[language] = Launch(name=language, argv=kept.argv, folder=folder)
    return built[language]


@pytest.mark.parametrize("language", NEEDED)
def test_a_worker_reads_writes_and_refuses_every_vector(
    language: str, built: dict[str, Launch], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = launch_of(language, built, tmp_path_factory).folder
    if language == "node":
        shutil.copy(EXAMPLES / "node" / "vectors.js", folder / "node")
    done = subprocess.run(
        [*VECTORS[language], str(ROOT / "spec" / "vectors")],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    refused = len(list((ROOT / "spec" / "vectors" / "invalid").glob("*.json")))
    assert f" {refused} refused, " in done.stdout


@pytest.mark.parametrize("language", NEEDED)
def test_a_worker_passes_every_check(
    language: str, built: dict[str, Launch], tmp_path_factory: pytest.TempPathFactory
) -> None:
    launch = launch_of(language, built, tmp_path_factory)
    said = described(projects.load(EXAMPLES), language, None)
    made = list(outside.checks(launch, said.outputs, said.examples, output=subprocess.DEVNULL))
    assert [check for check in made if check.verdict is not Verdict.OK] == []
    assert len(made) > 15


# --- on an endpoint -------------------------------------------------------------------------


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A Python champion, and the worker in Node.js beside it."""
    needs("node")
    folder = shutil.copytree(EXAMPLES, tmp_path / "stream", ignore=shutil.ignore_patterns("go"))
    keep(folder, ("python", "node"))
    text = (folder / "podium.toml").read_text()
    (folder / "podium.toml").write_text(text.replace("stream = true", 'stream = true\ntimeout = "2s"'))
    faulty.train(folder)
    with faulty.node_of(folder) as node:
        yield node.start()


def test_a_worker_on_the_stream_scores_the_same_and_everything_is_kept_while_it_and_the_broker_are_killed(
    node: Node,
) -> None:
    with Load(node.url, rate=100, bodies=[b'{"bmi": 0.05, "s5": 0.01}']) as load:
        until(lambda: scored(node, "node") > 20)
        companion, before = node.pid("worker node 1"), scored(node, "node")
        os.kill(command_of(node, "node", WORKER), signal.SIGKILL)
        node.until_back("worker node 1", companion)
        until(lambda: scored(node, "node") > before + 20)
        before = scored(node, "node")
        killed = node.send("broker", signal.SIGKILL)
        node.until_back("broker", killed)
        until(lambda: scored(node, "node") > before + 20)
        assert node.process("worker node 1").restarts == 1  # the broker's end is no reason
        time.sleep(CALM)
    assert set(load.counts) <= {200, 503}, load
    archive = assert_each_answer_kept_once(node, load)
    worst = f"select max(abs(out_progression / {SCORE} - 1)) from scores where status = 'ok'"
    assert archive.rows(worst)[0][0] < 1e-9
    assert "the worker was killed by SIGKILL" in node.log("worker node 1")
    assert (
        "crashed" in archive.rows("select error from scores where model = 'node' and status = 'error'")[0][0]
    )


def test_counts_are_those_of_the_archive_and_nothing_of_a_worker_outlives_its_companion_or_its_node(
    node: Node,
) -> None:
    for request in range(20):
        assert node.score("bmi=0.05&s5=0.01", podium_id=f"r{request}")["answer"]["progression"] == SCORE
    assert node.score("bmi=0.05&s5=0.01", podium_force="node")["model"] == "node"
    until(lambda: scored(node, "node") == 21)
    first = command_of(node, "node", WORKER)
    gone = node.send("worker node 1", signal.SIGKILL)
    node.until_back("worker node 1", gone)
    until(lambda: not alive(first))
    assert scored(node, "node") == 21  # counts outlive who counted
    os.kill(command_of(node, "node", WORKER), signal.SIGSTOP)  # hangs
    until(
        lambda: (
            node.process("worker node 1").pid not in (None, gone)
            and node.process("worker node 1").restarts == 2
        )
    )
    until(lambda: node.status().ready)
    last = command_of(node, "node", WORKER)
    assert node.stop() == 0
    until(lambda: not alive(last))
