"""What a supervisor says about its node: a lock that it holds, and a file that it rewrites."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from types import TracebackType

import msgspec

from podium.errors import AlreadyRunning, NotRunning

LOCK = "lock"
STATE = "state.json"
RUN = "run.json"
LOCK_SECONDS = 0.5


class ProcessState(StrEnum):
    """Where a process is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    BACKING_OFF = "backing off"
    CRASH_LOOPING = "crash-looping"
    STOPPED = "stopped"


class ProcessReport(msgspec.Struct, frozen=True, kw_only=True):
    """One process; `reason` is why it last ended, or could not start, `contender` whose worker it is."""

    name: str
    pid: int | None
    state: ProcessState
    restarts: int
    rss_mb: int | None
    reason: str | None = None
    contender: str = ""


class EndpointState(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint's processes, wherever they run. `grpc` is `HOST:PORT`, None where it speaks no gRPC."""

    endpoint: str
    url: str
    grpc: str | None = None
    ready: bool
    processes: tuple[ProcessReport, ...]


class NodeState(EndpointState, frozen=True, kw_only=True):
    """A whole node. `started` and `written` are seconds since the epoch."""

    pid: int
    started: float
    written: float


def write_state(state: NodeState, run_dir: Path) -> None:
    """Atomically: a reader sees the old file or the new one."""
    path = run_dir / STATE
    written = path.with_suffix(".new")
    written.write_bytes(msgspec.json.encode(state))
    written.replace(path)


def read_state(run_dir: Path) -> NodeState | None:
    """The last one written; None where there is none, or one that this Podium cannot read."""
    try:
        return msgspec.json.decode((run_dir / STATE).read_bytes(), type=NodeState)
    except (OSError, msgspec.MsgspecError):
        return None


def running(run_dir: Path) -> NodeState:
    """The state of the node that runs here. Raises NotRunning."""
    pid = holder(run_dir)
    state = read_state(run_dir)
    if pid is None:
        raise NotRunning("nothing runs for this project; `podium up` starts it")
    if state is None or state.pid != pid:
        raise NotRunning(f"`podium up` (pid {pid}) has just begun to start; ask again in a moment")
    return state


# --- the lock -------------------------------------------------------------------------------


class Lock:
    """Held by the supervisor while it lives; the system lets go of it however that ends."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / LOCK

    def __enter__(self) -> Lock:
        """Raises AlreadyRunning, saying who holds it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        give_up = time.monotonic() + LOCK_SECONDS  # `holder` takes it for an instant
        while not _try(self._file, fcntl.LOCK_EX):
            if time.monotonic() > give_up:
                pid = _pid_in(self._path)
                os.close(self._file)
                raise AlreadyRunning(f"this project runs already (pid {pid}); `podium down` stops it")
            time.sleep(0.02)
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)


def holder(run_dir: Path) -> int | None:
    """The pid of the supervisor of this folder; None when nothing runs."""
    path = run_dir / LOCK
    try:
        file = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        return None if _try(file, fcntl.LOCK_SH) else _pid_in(path)
    finally:
        os.close(file)


def _try(file: int, mode: int) -> bool:
    try:
        fcntl.flock(file, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pid_in(path: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int(path.read_text())
    return None
