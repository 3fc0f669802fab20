"""The processes of a node, kept alive until it is told to stop.

It knows nothing of models: processes are data (`ProcessSpec`). Each has a keeper of its own, so what
one does is never fatal for the others.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from podium.node.boards import fold
from podium.node.keeper import Keeper, Pace
from podium.node.process import ProcessSpec, Stage, memory_mb
from podium.node.state import NodeState, ProcessReport, ProcessState, write_state

log = logging.getLogger(__name__)

STATE_SECONDS = 1.0
LOG_BYTES = 8 * 1024 * 1024
READY_POLL = 0.02
KILLED_SECONDS = 1.0
STOP_SECONDS = 8.5
"""For all stages together; what is left when it is over gets no more than `LAST_GRACE` each."""

LAST_GRACE = 0.5


class Supervisor:
    """A node. `async with` starts its processes and, at the end, stops them in their order.

    The caller holds the project's lock. `boards` is the folder of counters, `run_dir` that of the state.
    `whole` is False as long as the caller has processes to `add` without which the node is not ready.
    """

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        *,
        endpoint: str,
        url: str,
        run_dir: Path,
        boards: Path,
        logs: Path,
        grpc: str | None = None,
        pace: Pace | None = None,
        whole: bool = True,
    ) -> None:
        self.whole = whole
        self._endpoint = endpoint
        self._url = url
        self._grpc = grpc
        self._run_dir = run_dir
        self._boards = boards
        self._logs = logs
        self._started = time.time()
        self._changed = asyncio.Event()
        self._pace = pace or Pace()
        self._tasks: set[asyncio.Task[None]] = set()
        self.keepers = [self._keeper(spec) for spec in specs]

    async def __aenter__(self) -> Supervisor:
        self._logs.mkdir(parents=True, exist_ok=True)
        fold(self._boards)
        self._begin(self._start_all(), "start")
        self._reporting = asyncio.create_task(self._report(), name="report")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop_all()
        self._reporting.cancel()
        with suppress(asyncio.CancelledError):
            await self._reporting
        self._write()

    @property
    def ready(self) -> bool:
        """Whether every process that counts for it is known, has come up and is there."""
        return self.whole and all(k.state is ProcessState.RUNNING for k in self.keepers if k.spec.awaited)

    # --- start and stop ---------------------------------------------------------------------

    async def _start_all(self) -> None:
        """The broker first, since the others start by connecting to it; then all at once."""
        brokers = self._of(Stage.BROKER)
        for keeper in brokers:
            self._begin(keeper.keep(), keeper.spec.name)
        while any(keeper.state is not ProcessState.RUNNING for keeper in brokers):
            await asyncio.sleep(READY_POLL)
            if all(keeper.state is ProcessState.STOPPED for keeper in brokers):
                return
        for keeper in self.keepers:
            if keeper not in brokers:
                self._begin(keeper.keep(), keeper.spec.name)

    @property
    def started(self) -> bool:
        """Whether the broker is there, and others can be started."""
        return all(keeper.state is ProcessState.RUNNING for keeper in self._of(Stage.BROKER))

    def add(self, specs: Iterable[ProcessSpec]) -> list[Keeper]:
        """Start further processes; the broker is there (`started`)."""
        added = [self._keeper(spec) for spec in specs]
        self.keepers += added
        for keeper in added:
            self._begin(keeper.keep(), keeper.spec.name)
        return added

    async def remove(self, keepers: Sequence[Keeper]) -> None:
        """Stop these processes for good: they finish what they have in hand, within their grace."""
        for keeper in keepers:
            keeper.stop()
        await self._ended(keepers, max((keeper.spec.grace for keeper in keepers), default=0.0))
        for keeper in keepers:
            keeper.kill()
        self.keepers = [keeper for keeper in self.keepers if keeper not in keepers]
        self._changed.set()

    def _keeper(self, spec: ProcessSpec) -> Keeper:
        return Keeper(spec, logs=self._logs, boards=self._boards, pace=self._pace, changed=self._changed.set)

    def _begin(self, job: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(job, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _stop_all(self) -> None:
        end = time.monotonic() + STOP_SECONDS
        for keeper in self.keepers:
            keeper.never_again()
        for stage in sorted(Stage, reverse=True):
            keepers = self._of(stage)
            for keeper in keepers:
                keeper.stop()
            grace = max((k.spec.grace for k in keepers), default=0.0)
            await self._ended(keepers, min(grace, max(LAST_GRACE, end - time.monotonic())))
            for keeper in keepers:
                if keeper.alive:
                    log.warning("%s did not stop in time and is killed", keeper.spec.name)
                    keeper.kill()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=KILLED_SECONDS)

    async def _ended(self, keepers: Sequence[Keeper], seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while any(keeper.alive for keeper in keepers):
                    await asyncio.sleep(READY_POLL)

    def _of(self, stage: Stage) -> list[Keeper]:
        return [keeper for keeper in self.keepers if keeper.spec.stage is stage]

    def kill_all(self) -> None:
        """For somebody who does not want to wait for a clean stop."""
        for keeper in self.keepers:
            keeper.kill()

    # --- what it says about itself ----------------------------------------------------------

    async def _report(self) -> None:
        while True:
            self._changed.clear()
            self._write()
            for keeper in self.keepers:
                _bound(keeper.log)
            with suppress(TimeoutError):
                async with asyncio.timeout(STATE_SECONDS):
                    await self._changed.wait()

    def _write(self) -> None:
        try:
            write_state(self.state(), self._run_dir)
        except OSError as error:  # a full disk is no reason to stop answering
            log.error("the state cannot be written: %s", error)

    def state(self) -> NodeState:
        own = ProcessReport(
            name="supervisor",
            pid=os.getpid(),
            state=ProcessState.RUNNING,
            restarts=0,
            rss_mb=memory_mb(os.getpid()),
        )
        return NodeState(
            endpoint=self._endpoint,
            url=self._url,
            grpc=self._grpc,
            pid=os.getpid(),
            started=self._started,
            written=time.time(),
            ready=self.ready,
            processes=(*(keeper.report() for keeper in sorted(self.keepers, key=_place)), own),
        )


_PLACES = (Stage.BROKER, Stage.GATEWAY, Stage.WORKER, Stage.ARCHIVER)


def _place(keeper: Keeper) -> int:
    """Where it is shown: as a request meets it."""
    return _PLACES.index(keeper.spec.stage)


def _bound(log_file: Path) -> None:
    """Keep a log under a size: the full one becomes `.1`, and its writer, who appends, goes on.

    Lines that are written between the copy and the cut are lost; a reopened log would need the
    cooperation of every program, and the broker is not ours.
    """
    try:
        if log_file.stat().st_size > LOG_BYTES:
            shutil.copyfile(log_file, log_file.with_suffix(".log.1"))
            os.truncate(log_file, 0)
    except OSError:
        return  # not there yet, or no room to keep the old one: try again in a second
