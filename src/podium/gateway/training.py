"""`/train`: asks the node for a new version of a model, which then joins as a challenger.

Off unless the endpoint has an admin key.
"""

from __future__ import annotations

import hmac
import secrets
import time
from pathlib import Path

import msgspec

from podium.errors import Forbidden, NotFound, Unauthorized
from podium.jobs import TRAIN, Job, Jobs
from podium.run import Run, key_digest
from podium.schema import did_you_mean
from podium.streams.base import Stream

BEARER = "bearer "


class JobReply(msgspec.Struct):
    """The body that tells of a job; times are seconds since the epoch."""

    job: str
    model: str
    state: str
    asked: float
    began: float | None
    ended: float | None
    log: list[str]


class Training:
    """The jobs of one node, as clients with the admin key see them."""

    def __init__(self, run: Run, stream: Stream) -> None:
        self._run = run
        self._stream = stream
        self._jobs = Jobs(Path(run.run_dir))

    async def ask(self, model: str, authorization: str | None) -> JobReply:
        """A new job. Raises Forbidden, Unauthorized, NotFound for no model of the project, StreamAway."""
        self._let_in(authorization)
        if model not in self._run.workers:
            known = list(self._run.workers)
            near = did_you_mean(model, known)
            raise NotFound(f"there is no model {model!r} to train{near}; there are {', '.join(known)}")
        job = Job(id=secrets.token_hex(8), model=model, asked=time.time())
        self._jobs.save(job)
        self._stream.publish(TRAIN, msgspec.msgpack.encode(job))
        return self._told(job)

    def look(self, id: str, authorization: str | None) -> JobReply:
        """How a job is going. Raises Forbidden, Unauthorized, NotFound."""
        self._let_in(authorization)
        job = self._jobs.find(id)
        if job is None:
            raise NotFound(f"there is no job {id!r}; POST /train/{self._run.endpoint}/MODEL makes one")
        return self._told(job)

    def _let_in(self, authorization: str | None) -> None:
        if not self._run.admin_key:
            raise Forbidden(
                "training over HTTP is off: start `podium up` with the environment variable PODIUM_ADMIN_KEY"
            )
        given = authorization or ""
        key = given[len(BEARER) :].strip() if given.lower().startswith(BEARER) else ""
        if not hmac.compare_digest(key_digest(key), self._run.admin_key):
            raise Unauthorized("the admin key is missing or wrong: send `Authorization: Bearer KEY`")

    def _told(self, job: Job) -> JobReply:
        return JobReply(
            job=job.id,
            model=job.model,
            state=job.state.value,
            asked=job.asked,
            began=job.began,
            ended=job.ended,
            log=self._jobs.lines(job),
        )
