"""Trainings that somebody asked for while the node runs: one at a time, each in a process of its own."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

import msgspec

from podium.jobs import Job, Jobs, JobState
from podium.node.plan import OFF_PATH_NICE
from podium.node.process import launch, signal_group

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
REASON = "trained anew, asked for over HTTP"


class Trainer:
    """Does a node's jobs, in the project's folder. `async with` starts; at the end it stops what runs."""

    def __init__(self, jobs: Jobs, folder: Path) -> None:
        self._jobs = jobs
        self._folder = folder
        self._queue: asyncio.Queue[Job] = asyncio.Queue()
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Trainer:
        for job in self._jobs.all():
            if not job.over:  # the node that was to do it has stopped
                self._jobs.save(job.now(JobState.FAILED))
        self._working = asyncio.create_task(self._work(), name="trainer")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._working.cancel()
        await asyncio.gather(self._working, return_exceptions=True)
        if self._process is not None:
            signal_group(self._process, signal.SIGKILL)
            self._process.wait()

    def ask(self, payload: bytes) -> None:
        """A gateway's message: a job to do."""
        try:
            self._queue.put_nowait(msgspec.msgpack.decode(payload, type=Job))
        except msgspec.MsgspecError as error:
            log.error("jobs: %s", error)

    async def _work(self) -> None:
        while True:
            job = await self._queue.get()
            try:
                await self._train(job)
            except OSError as error:  # a full disk
                log.error("job %s: %s", job.id, error)

    async def _train(self, job: Job) -> None:
        job = job.now(JobState.RUNNING)
        self._jobs.save(job)
        words = ("train", job.model, "--join", "--reason", REASON)
        argv = (sys.executable, "-P", "-m", "podium", *words)
        self._process = launch(
            argv, self._jobs.log(job), env={"PYTHONUNBUFFERED": "1"}, nice=OFF_PATH_NICE, folder=self._folder
        )
        while self._process.poll() is None:
            await asyncio.sleep(POLL_SECONDS)
        done = self._process.returncode == 0
        self._process = None
        self._jobs.save(job.now(JobState.SUCCEEDED if done else JobState.FAILED))
