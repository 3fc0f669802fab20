"""The companion of a worker in another language: samples first, then work, and counts of what it says."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest

from podium.counters import Board, merged, total
from podium.errors import ModelFailed, PackageError, WrongSample
from podium.models.examples import examples_of
from podium.models.formats.base import EXACT
from podium.models.manifest import Manifest, Revision
from podium.models.process.child import Launch
from podium.models.samples import Samples
from podium.node.private import PrivateBroker
from podium.protocol.frames import encode
from podium.records import Contender, Role
from podium.streams.base import Stream
from podium.streams.connect import connect
from podium.workers.asker import Asker
from podium.workers.companion import Companion
from podium.workers.outside import Outside, Place
from podium.workers.own import Silent

OUTSIDER = Path(__file__).with_name("outsider.py")
CONTENDER = Contender(model="rule", version="0123456789ab", number=1, role=Role.CHALLENGER)
SAMPLES = Samples(inputs={"x": np.array([1.0, 2.0])}, outputs={"y": np.array([2.0, 4.0])})
ROWS = {"x": np.array([5.0, 6.0, 7.0])}
MANIFEST = Manifest(
    model="rule",
    format="stream",
    inputs=examples_of({"x": "float"}).inputs,
    outputs=examples_of({"y": "float"}).inputs,
    metrics={},
    tolerance=EXACT,
    data="",
    revision=Revision(module=""),
    python="",
    libraries={},
)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A broker, a gateway, and one worker with its companion."""

    broker: PrivateBroker
    stream: Stream
    gateway: Asker
    worker: Outside
    companion: Companion
    folder: Path

    def counted(self, name: str) -> int:
        return total(merged(self.folder), name)

    async def until_counted(self, name: str, value: int) -> None:
        async with asyncio.timeout(5):
            while self.counted(name) != value:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def stage(folder: Path, *argv: str) -> AsyncIterator[Stage]:
    command = argv or (sys.executable, str(OUTSIDER))
    launch = Launch(name="rule", argv=command, folder=folder, in_place=True)
    async with PrivateBroker() as broker, connect(broker.url, "e") as stream:
        place = Place(url=broker.url, endpoint="e", contender=CONTENDER.name)
        with Board(folder / "companion-1.board") as board:
            async with (
                Asker(stream, place, role="canary") as gateway,
                Outside(place, launch, stream) as worker,
                Companion(worker, CONTENDER, stream, board) as companion,
            ):
                yield Stage(
                    broker=broker,
                    stream=stream,
                    gateway=gateway,
                    worker=worker,
                    companion=companion,
                    folder=folder,
                )


async def test_a_worker_with_other_answers_than_its_samples_is_never_let_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTOR", "3")
    async with stage(tmp_path) as on:
        with pytest.raises(WrongSample, match="sample 0 gives"):
            await on.companion.let_in(MANIFEST, SAMPLES)
        frame = on.gateway.frame(ROWS)
        on.gateway.send(frame)
        with pytest.raises(Silent):
            await on.gateway.answer(frame.seq, 0.3)
        assert (on.counted("ready"), on.counted("beat")) == (0, 0)


async def test_what_a_worker_scores_is_counted_as_ours_count_and_what_others_say_is_not(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path) as on:
        await on.companion.let_in(MANIFEST, SAMPLES)
        assert on.counted("ready") == 1
        good, failed, late = (
            on.gateway.frame(ROWS),
            on.gateway.frame(ROWS),
            on.gateway.frame(ROWS, deadline=-0.1),
        )
        for frame in (good, msgspec.structs.replace(failed, columns={}), late):
            on.gateway.send(frame)
        found = [await on.gateway.answer(frame.seq) for frame in (good, failed, late)]
        await on.until_counted("late", 3)
        assert (on.counted("scored"), on.counted("errors")) == (6, 3)  # the samples are nobody's requests
        another = msgspec.structs.replace(found[0], model="another", seq=90)
        missing = msgspec.structs.replace(found[0], source=found[0].origin, error="none", columns={}, seq=91)
        on.stream.publish("scores.x", encode(another))
        on.stream.publish("scores.missing", encode(missing))
        on.stream.publish("scores.x", encode(found[0]))
        await on.until_counted("scored", 9)
        assert on.counted("errors") == 3


async def test_a_worker_beats_while_it_answers_and_the_brokers_end_is_not_its_own(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.companion.let_in(MANIFEST, SAMPLES)
        stop = asyncio.Event()
        staying = asyncio.create_task(on.companion.stay(stop))
        await on.broker.crash()
        before = on.counted("beat")
        async with asyncio.timeout(5):
            while on.counted("beat") == before:
                await asyncio.sleep(0.02)
        assert not staying.done()
        stop.set()
        await staying
        on.worker.terminate()
        assert await on.worker.wait(2)
        with pytest.raises(ModelFailed, match="the worker ended with exit status 0"):
            await on.companion.stay(asyncio.Event())


async def test_a_worker_that_answers_each_probe_too_late_beats_all_the_same(tmp_path: Path) -> None:
    async with stage(tmp_path, sys.executable, str(OUTSIDER), "slow") as on:
        await on.companion.let_in(MANIFEST, SAMPLES)
        beats = {on.counted("beat")}
        staying = asyncio.create_task(on.companion.stay(asyncio.Event()))
        async with asyncio.timeout(8):
            while len(beats) < 4:
                beats.add(on.counted("beat"))
                await asyncio.sleep(0.02)
        staying.cancel()


async def test_a_worker_that_ends_at_once_is_told_with_how_it_ended(tmp_path: Path) -> None:
    async with stage(tmp_path, "false") as on:
        with pytest.raises(
            PackageError, match="rule: the worker ended with exit status 1 before it answered; `podium"
        ):
            await on.companion.let_in(MANIFEST, SAMPLES)
