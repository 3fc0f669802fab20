"""`/train`: who may ask, for what, and what is said of a job."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.unit.gateway.world import run
from tests.unit.workers.stage import until

from podium.errors import Forbidden, NotFound, Unauthorized
from podium.gateway.training import Training
from podium.jobs import KEPT, TRAIN, Job, Jobs, JobState
from podium.run import key_digest
from podium.streams.memory import MemoryBroker, MemoryStream

RIGHT = "Bearer secret"


def training(folder: Path, stream: MemoryStream, key: str = "secret") -> Training:
    of_node = msgspec.structs.replace(run(), run_dir=str(folder), admin_key=key_digest(key))
    return Training(of_node, stream)


async def test_a_job_is_recorded_and_the_node_hears_of_it(tmp_path: Path) -> None:
    heard: list[Job] = []

    def hear(payload: bytes) -> None:
        heard.append(msgspec.msgpack.decode(payload, type=Job))

    async with MemoryStream(MemoryBroker()) as stream:
        await stream.subscribe(TRAIN, hear)
        found = training(tmp_path, stream)
        reply = await found.ask("linear", RIGHT)
        await until(lambda: heard)
    assert (reply.model, reply.state, reply.log) == ("linear", "queued", [])
    assert [job.id for job in heard] == [reply.job]
    assert found.look(reply.job, RIGHT) == reply
    jobs = Jobs(tmp_path)
    jobs.save(heard[0].now(JobState.RUNNING).now(JobState.SUCCEEDED))
    jobs.log(heard[0]).write_text("training linear …\ndone\n")
    reply = found.look(reply.job, RIGHT)
    assert (reply.state, reply.log) == ("succeeded", ["training linear …", "done"])
    assert reply.asked <= (reply.began or 0) <= (reply.ended or 0)


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer wrong", "secret", "Basic secret"])
async def test_without_the_right_key_nothing_happens(tmp_path: Path, authorization: str | None) -> None:
    async with MemoryStream(MemoryBroker()) as stream:
        with pytest.raises(Unauthorized, match="Authorization: Bearer KEY"):
            await training(tmp_path, stream).ask("linear", authorization)
    assert list(Jobs(tmp_path).all()) == []


async def test_without_an_admin_key_it_is_off_whatever_is_sent(tmp_path: Path) -> None:
    async with MemoryStream(MemoryBroker()) as stream:
        for authorization in (None, "Bearer ", RIGHT):
            with pytest.raises(Forbidden, match="PODIUM_ADMIN_KEY"):
                await training(tmp_path, stream, key="").ask("linear", authorization)


async def test_unknown_models_and_jobs_are_named(tmp_path: Path) -> None:
    async with MemoryStream(MemoryBroker()) as stream:
        found = training(tmp_path, stream)
        with pytest.raises(NotFound, match=r"'liner' to train \(did you mean 'linear'\?\)"):
            await found.ask("liner", RIGHT)
        for id in ("0123", "../run", "a/b"):
            with pytest.raises(NotFound, match="there is no job"):
                found.look(id, RIGHT)


def test_old_jobs_are_forgotten_and_those_that_are_not_over_stay(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    jobs.save(Job(id="open", model="linear", asked=0.0))
    for number in range(KEPT + 5):
        jobs.save(Job(id=f"{number:04}", model="linear", asked=float(number)).now(JobState.FAILED))
    assert jobs.find("open") is not None
    assert jobs.find("0004") is None
    assert jobs.find("0005") is not None
