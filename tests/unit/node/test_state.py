"""Who runs here: a lock that a supervisor holds, and what it says about itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from podium.errors import AlreadyRunning, NotRunning
from podium.node.state import Lock, NodeState, holder, read_state, running, write_state


def state(pid: int) -> NodeState:
    return NodeState(
        endpoint="diabetes", url="http://x", pid=pid, started=1.0, written=2.0, ready=True, processes=()
    )


def test_the_lock_is_free_again_after_its_holder(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    with Lock(tmp_path):
        assert holder(tmp_path) == os.getpid()
    assert holder(tmp_path) is None


def test_a_second_one_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    with Lock(tmp_path), pytest.raises(AlreadyRunning, match=rf"pid {os.getpid()}.*podium down"):
        Lock(tmp_path).__enter__()


def test_a_holder_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    program = (
        "import os, sys; from podium.node.state import *; Lock(Path(sys.argv[1])).__enter__(); os.abort()"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, timeout=30)
    assert (tmp_path / "lock").read_text()
    assert holder(tmp_path) is None


def test_a_stale_state_is_nothing_that_runs(tmp_path: Path) -> None:
    write_state(state(os.getpid()), tmp_path)
    with pytest.raises(NotRunning, match="podium up"):
        running(tmp_path)


def test_the_state_of_an_earlier_run_is_not_taken_for_this_one(tmp_path: Path) -> None:
    write_state(state(1), tmp_path)
    with Lock(tmp_path), pytest.raises(NotRunning, match="in a moment"):
        running(tmp_path)


def test_the_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_state(state(os.getpid()), tmp_path)
    with Lock(tmp_path):
        assert running(tmp_path) == state(os.getpid())


def test_half_a_state_is_none(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"endpoint": "dia')
    assert read_state(tmp_path) is None
