"""Long work that a running node does because somebody asked: a record in a file, and a log beside it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

import msgspec
from msgspec.structs import replace

TRAIN = "train"
"""The subject on which a supervisor hears of new jobs."""

FOLDER = "jobs"
KEPT = 100
"""Jobs whose record and log stay; older ones are removed when a new one is recorded."""

LOG_LINES = 200


class JobState(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One training of one model, whose version then joins as a challenger. Times are s since the epoch."""

    id: str
    model: str
    state: JobState = JobState.QUEUED
    asked: float
    began: float | None = None
    ended: float | None = None

    def now(self, state: JobState) -> Job:
        """The same job in its next state, at this moment."""
        if state is JobState.RUNNING:
            return replace(self, state=state, began=time.time())
        return replace(self, state=state, ended=time.time())

    @property
    def over(self) -> bool:
        return self.state in (JobState.SUCCEEDED, JobState.FAILED)


class Jobs:
    """The jobs of a node, in the folder `jobs` of its run folder."""

    def __init__(self, run_dir: Path) -> None:
        self._folder = run_dir / FOLDER

    def save(self, job: Job) -> None:
        """Atomically. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        written = self._folder / f"{job.id}.new"
        written.write_bytes(msgspec.json.encode(job))
        written.replace(self._record(job.id))
        self._forget_old()

    def find(self, id: str) -> Job | None:
        if not id.isalnum():  # else it could be a way out of the folder
            return None
        with suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode(self._record(id).read_bytes(), type=Job)
        return None

    def all(self) -> Iterator[Job]:
        """In no order."""
        for path in self._folder.glob("*.json"):
            if job := self.find(path.stem):
                yield job

    def log(self, job: Job) -> Path:
        return self._folder / f"{job.id}.log"

    def lines(self, job: Job) -> list[str]:
        """The end of its log."""
        try:
            return self.log(job).read_text(errors="replace").splitlines()[-LOG_LINES:]
        except OSError:
            return []

    def _record(self, id: str) -> Path:
        return self._folder / f"{id}.json"

    def _forget_old(self) -> None:
        over = sorted((job for job in self.all() if job.over), key=lambda job: job.asked)
        for job in over[:-KEPT]:
            self._record(job.id).unlink(missing_ok=True)
            self.log(job).unlink(missing_ok=True)
