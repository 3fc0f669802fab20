"""A contender that is somebody's server: it misbehaves in every way, is killed and hangs under load."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bench.ports import free_port
from tests.system import container, faulty
from tests.system.kept import assert_each_answer_kept_once
from tests.system.load import Load
from tests.system.running import Node, podium, until

DECOY = """
[decoy]
enabled = true
"""

FAULTS = {
    "broken": (container.BROKEN, "it answered 500: Internal Server Error"),
    "a_page": (container.PAGE, "it answered HTML: Please log in"),
    "half_a_body": (container.HALF, "its answer broke off after 7 bytes, 100 were still to come"),
    "moved": (container.MOVED, "a redirect to http://127.0.0.1:9/elsewhere, which is not followed"),
    "too_few_rows": (container.SHORT, "it answered 0 lines for 1 rows"),
    "no_number": (container.NOTHING, "the model's output is NaN or infinite"),
    "not_a_number": (container.NAN, "it answered NaN or Infinity, which is no JSON"),
    "no_answer": (container.GONE, "it ended the connection without an answer"),
    "hangs": (container.HANG, "it has not answered within 2.0 s"),
}


class Served:
    """The container's process."""

    def __init__(self) -> None:
        self.port = free_port()
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, container.__file__, str(self.port)])

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def end(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def served() -> Iterator[Served]:
    server = Served()
    try:
        yield server
    finally:
        server.end()


@pytest.fixture
def stopped(tmp_path: Path, served: Served) -> Iterator[Node]:
    """A node that is not started yet, with both models trained."""
    keys = f'url = "http://127.0.0.1:{served.port}"\nprotocol = "sagemaker"'
    folder = faulty.write(tmp_path / "diabetes", "container", keys, files={}, more=DECOY)
    until(served.listens)
    podium(folder, "check", "container")
    faulty.train(folder)
    with faulty.node_of(folder) as node:
        yield node


@pytest.fixture
def node(stopped: Node) -> Node:
    return stopped.start()


def test_a_server_that_misbehaves_is_an_error_in_status_archive_and_log_and_another_answers(
    node: Node,
) -> None:
    # Of what is no number the answer was in order, but for the number: that is not in the log.
    faulty.assert_each_is_told(node, "container", FAULTS, unlogged=("no_number",))


def test_a_server_that_is_killed_or_stopped_under_load_costs_no_request_and_is_asked_again(
    node: Node, served: Served
) -> None:
    with Load(node.url, rate=100) as load:
        until(lambda: load.rules["champion"] > 50)
        served.end()
        until(lambda: load.rules["challenger"] > 50)
        served.start()
        back = time.monotonic()
        until(lambda: sum(seen.rule == "champion" for seen in load.since(back)) > 50)
        os.kill(served.process.pid, signal.SIGSTOP)
        stopped = time.monotonic()
        until(lambda: time.monotonic() - stopped > 4 and load.rules["challenger"] > 100)
        os.kill(served.process.pid, signal.SIGCONT)
        back = time.monotonic()
        until(lambda: sum(seen.rule == "champion" for seen in load.since(back)) > 50)
    assert set(load.counts) == {200}, load
    assert set(load.rules) == {"champion", "challenger"}, load
    assert_each_answer_kept_once(node, load)
    log = node.log("worker container 1")
    assert "nothing listens there: the connection was refused" in log
    assert "it has not answered within 2.0 s" in log
    assert node.process("worker container 1").restarts == 0


def test_a_node_waits_for_a_server_that_is_started_after_it(stopped: Node, served: Served) -> None:
    served.end()
    log = stopped.folder / ".podium" / "logs" / "worker-container-1.log"

    def start_late() -> None:
        until(lambda: log.exists() and "waiting for http://127.0.0.1" in log.read_text())
        served.start()

    with ThreadPoolExecutor(1) as beside:
        late = beside.submit(start_late)
        node = stopped.start()
        late.result()
    assert node.process("worker container 1").restarts == 0
    assert faulty.champion_answers(node, "container")
