"""One process kept alive: started again when it ends or hangs, ever more slowly if that does not help."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from podium.node.boards import retire
from podium.node.process import ProcessSpec, how_it_ended, log_name, memory_mb, signal_group, start
from podium.node.state import ProcessReport, ProcessState

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """Seconds: when a process counts as steady, how fast it is started again, how often it is looked at."""

    steady: float = 10.0
    first_pause: float = 0.2
    longest_pause: float = 10.0
    start: float = 60.0
    look: float = 0.5
    poll: float = 0.05

    def pause(self, failures: int) -> float:
        """Before the next start, after so many lives in a row that were not steady."""
        if not failures:
            return 0.0
        return min(self.longest_pause, self.first_pause * 2.0 ** min(failures - 1, 32))


CRASH_LOOP = 3
"""So many short lives in a row are a loop."""


class Keeper:
    """Keeps one process alive until it is told to stop."""

    def __init__(
        self, spec: ProcessSpec, *, logs: Path, boards: Path, pace: Pace, changed: Callable[[], None]
    ) -> None:
        self.spec = spec
        self.state = ProcessState.STARTING
        self._logs = logs
        self._boards = boards
        self._pace = pace
        self._changed = changed
        self._stopping = asyncio.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._restarts = 0
        self._failures = 0
        self._reason: str | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None

    @property
    def log(self) -> Path:
        return self._logs / log_name(self.spec.name)

    def report(self) -> ProcessReport:
        pid = self._process.pid if self._process else None
        return ProcessReport(
            name=self.spec.name,
            pid=pid,
            state=self.state,
            restarts=self._restarts,
            rss_mb=memory_mb(pid) if pid else None,
            reason=self._reason,
            contender=self.spec.contender,
        )

    async def keep(self) -> None:
        """Returns once `stop` was called and the process has ended."""
        while not self._stopping.is_set():
            steady = await self._live()
            if self._stopping.is_set():
                break
            self._failures = 0 if steady else self._failures + 1
            self._restarts += 1
            self._move(
                ProcessState.CRASH_LOOPING if self._failures >= CRASH_LOOP else ProcessState.BACKING_OFF
            )
            if self._failures <= CRASH_LOOP:  # a loop is told once, and is in the state
                log.warning("%s: %s; starting it again", self.spec.name, self._reason)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace.pause(self._failures)):
                    await self._stopping.wait()
        self._move(ProcessState.STOPPED)

    async def _live(self) -> bool:
        """One life of the process, from start to end. Returns whether it was a steady one."""
        try:
            process = self._process = start(self.spec, self.log)
        except OSError as error:
            self._reason = f"cannot be started: {error}"
            return False
        if self._failures < CRASH_LOOP:  # in a loop it is called starting only by those who hope
            self._move(ProcessState.STARTING)
        watch = _Watch(self.spec, self._pace, time.monotonic())
        while process.poll() is None:
            if await watch.is_hung(process.pid) and process.poll() is None:
                signal_group(process, signal.SIGKILL)
                self._reason = watch.verdict
                process.wait()
                break
            if watch.ready and self.state is not ProcessState.RUNNING:
                self._move(ProcessState.RUNNING)
            await asyncio.sleep(self._pace.poll)
        else:
            self._reason = how_it_ended(process.returncode)
        signal_group(process, signal.SIGKILL)  # whatever it started does not outlive it
        self._process = None
        self._retire(process.pid)
        return watch.steady(time.monotonic())

    def _retire(self, pid: int) -> None:
        try:
            retire(self._boards, pid)
        except (OSError, ValueError, MemoryError) as error:  # a full disk; the board counts where it is
            log.error("%s: its counts stay in a file of their own: %s", self.spec.name, error)

    def _move(self, state: ProcessState) -> None:
        self.state = state
        self._changed()

    def stop(self) -> None:
        """Ask the process to end, and never start it again."""
        self._stopping.set()
        if self._process:
            signal_group(self._process, signal.SIGTERM)

    def never_again(self) -> None:
        """Leave the process as it is, but do not start it again."""
        self._stopping.set()

    def kill(self) -> None:
        self._stopping.set()
        if self._process:
            signal_group(self._process, signal.SIGKILL)


class _Watch:
    """Signs of life of one process, by this process's clock: a clock that is set kills nobody."""

    def __init__(self, spec: ProcessSpec, pace: Pace, now: float) -> None:
        self._spec = spec
        self._pace = pace
        self._beat = 0
        self._last = now
        self._next = now
        self._ready_at: float | None = None
        self.verdict = ""

    @property
    def ready(self) -> bool:
        return self._ready_at is not None

    def steady(self, now: float) -> bool:
        return self._ready_at is not None and now - self._ready_at > self._pace.steady

    async def is_hung(self, pid: int) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + (self._pace.look if self.ready else 0)
        life = await self._spec.sign.look(pid)
        if life and life.beat != self._beat:
            self._beat, self._last = life.beat, now
        if life and life.ready and not self.ready:
            self._ready_at = now
        allowed = self._spec.timeout if self.ready else self._pace.start
        if now - self._last <= allowed:
            return False
        self.verdict = f"no sign of life for {allowed:g} s, killed"
        return True
