"""One process of a node: what to start, how to start it, how to see that it lives."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

PR_SET_PDEATHSIG = 1
PR_SET_TIMERSLACK = 29


class Stage(IntEnum):
    """Stopping goes from the door inwards, so that what is in flight is answered, then kept."""

    BROKER = 0
    ARCHIVER = 1
    WORKER = 2
    GATEWAY = 3


class Life(NamedTuple):
    """A sign of life: `beat` is a number that changes while the process lives."""

    beat: int
    ready: bool


class Sign(Protocol):
    """How to see that a process lives."""

    async def look(self, pid: int) -> Life | None:
        """What this process shows now; None when it has shown nothing yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessSpec:
    """A process to keep alive.

    `timeout` (s) is how long it may show no sign of life once it is ready; `grace` (s) how long it
    may take to stop. `awaited` says that the node is not ready without it. `fds` are inherited.
    `timer_slack` (s) is how much later than asked for its sleeps may end. `contender` is whose worker
    it is, as `MODEL@VERSION`.
    """

    name: str
    argv: tuple[str, ...]
    stage: Stage
    sign: Sign
    timeout: float
    grace: float
    env: Mapping[str, str] = field(default_factory=dict)
    fds: tuple[int, ...] = ()
    nice: int = 0
    timer_slack: float = 0.0
    awaited: bool = True
    contender: str = ""


def log_name(process: str) -> str:
    """The file, in the folder of logs, that a process of this name writes to."""
    return f"{process.replace(' ', '-')}.log"


def start(spec: ProcessSpec, log: Path) -> subprocess.Popen[bytes]:
    """Start it; it appends to its log. Raises OSError."""
    return launch(spec.argv, log, env=spec.env, fds=spec.fds, nice=spec.nice, timer_slack=spec.timer_slack)


def launch(
    argv: Sequence[str],
    log: Path,
    *,
    env: Mapping[str, str],
    fds: Sequence[int] = (),
    nice: int = 0,
    timer_slack: float = 0.0,
    folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own: a Ctrl-C is for the supervisor, which stops it in its turn.

    It writes to its log itself, by appending, so that it never waits for the supervisor. Raises OSError.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            argv,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **env},
            pass_fds=fds,
            start_new_session=True,
            # No threads run here.
            preexec_fn=partial(_tie_to, os.getpid(), nice, timer_slack, _prctl()),  # noqa: PLW1509
        )


def _prctl() -> Callable[[int, int], object] | None:
    """Linux' own; elsewhere Python children watch their parent themselves (`podium.node.orphans`)."""
    return ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def _tie_to(parent: int, nice: int, timer_slack: float, prctl: Callable[[int, int], object] | None) -> None:
    """In the child, before it becomes the program: die with the supervisor, however that dies."""
    if prctl:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died between the fork and the line above
            os._exit(1)
        _schedule_in_batches()
        if timer_slack:
            prctl(PR_SET_TIMERSLACK, int(timer_slack * 1e9))
    if nice:
        os.nice(nice)


def _schedule_in_batches() -> None:
    """Who is woken does not interrupt who runs: frames grow instead of switches between processes.

    On one core this doubles what a node answers (`docs/decisions/0007-speed.md`); a core that is idle
    still takes whoever is woken at once.
    """
    with suppress(OSError):  # some containers forbid it
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def signal_group(process: subprocess.Popen[bytes], signum: int) -> None:
    """To the process and whatever it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signum)


def how_it_ended(code: int) -> str:
    """A return code of Popen in words."""
    if code >= 0:
        return f"ended with exit status {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def memory_mb(pid: int) -> int | None:
    """Resident memory of a process; None where this system does not say."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
