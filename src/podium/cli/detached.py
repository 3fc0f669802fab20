"""`podium up --detach` and `podium down`: a node that runs on without the command that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import click

from podium import project as projects
from podium.cli.node_words import last_lines
from podium.errors import AlreadyRunning, NodeError, NotRunning
from podium.node.process import log_name
from podium.node.state import NodeState, ProcessState, holder, read_state
from podium.project import Project

DOWN_SECONDS = 15.0
DETACHED_SECONDS = 120.0
POLL_SECONDS = 0.05
UP_LOG = "up.log"


def detached(project: Project, options: list[str]) -> None:
    """Start `podium up` with these options; returns when it is ready. Raises AlreadyRunning, NodeError."""
    if (pid := holder(project.run_dir)) is not None:
        raise AlreadyRunning(f"this project runs already (pid {pid}); `podium down` stops it")
    log = project.logs_dir / UP_LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "podium", "up", *options],
            cwd=project.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    state = _wait_until_ready(process, project, log)
    process.returncode = 0  # it goes on without us: nothing is left to wait for
    click.echo(f"Ready at {state.url} (pid {process.pid}). `podium status` shows it, `podium down` stops it.")


def _wait_until_ready(process: subprocess.Popen[bytes], project: Project, log: Path) -> NodeState:
    """Raises NodeError, with nothing left running, when the node does not come up."""
    give_up = time.monotonic() + DETACHED_SECONDS
    while process.poll() is None:
        state = read_state(project.run_dir)
        if state is not None and state.pid == process.pid:
            if state.ready:
                return state
            if problem := _crash(project, state):
                _end(process)
                raise NodeError(f"not started: {problem}")
        if time.monotonic() > give_up:
            _end(process)
            raise NodeError(f"not ready within {DETACHED_SECONDS:g} s, stopped again; see {log}")
        time.sleep(POLL_SECONDS)
    said = last_lines(log, 1)
    raise NodeError(f"not started: {said[0].removeprefix('podium: ') if said else f'see {log}'}")


def _crash(project: Project, state: NodeState) -> str | None:
    for report in state.processes:
        if report.state is ProcessState.CRASH_LOOPING:
            said = last_lines(project.logs_dir / log_name(report.name), 1)
            tail = f"; its log ends with: {said[0]}" if said else ""
            return f"{report.name} keeps crashing ({report.reason}){tail}"
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(DOWN_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# --- down -----------------------------------------------------------------------------------


@click.command()
def down() -> None:
    """Stop what `podium up` runs for this project."""
    run_dir = projects.find(Path.cwd()) / projects.RUN_DIR  # a broken podium.toml is no reason to go on
    pid = holder(run_dir)
    if pid is None:
        raise NotRunning("nothing runs for this project, so there is nothing to stop")
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    if not _within(DOWN_SECONDS, lambda: holder(run_dir) != pid):
        raise NodeError(
            f"pid {pid} has not stopped within {DOWN_SECONDS:g} s; `kill -9 {pid}` ends it with all it runs"
        )
    click.echo(f"Stopped (pid {pid}). `podium up` starts it again; nothing that was archived is lost.")


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    give_up = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > give_up:
            return False
        time.sleep(POLL_SECONDS)
    return True
