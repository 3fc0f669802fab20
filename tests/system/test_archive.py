"""The archive under real faults: kill -9 of the archiver and of the broker, a disk that fills up."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.unit.archive import looking
from tests.unit.archive.traffic import ENDPOINT, MANY_ROWS, traffic

from podium import counters
from podium.node.broker import Broker
from podium.protocol.frames import (
    AnswersFrame,
    DecoyFrame,
    Frame,
    InputFrame,
    ScoresFrame,
    SeenFrame,
    encode,
)
from podium.streams.nats import NatsStream

ROOT = Path(__file__).parents[2]
PATH = os.pathsep.join((str(ROOT), str(ROOT / "src")))
PATIENCE = 60.0
SIZES = [(1, 600), (MANY_ROWS, 200)]
"""Rows of a request, and how many frames of three requests: what the decoy sends of them differs."""
SUBJECTS = {
    InputFrame: "input",
    ScoresFrame: "scores.gateway-1",
    AnswersFrame: "answers",
    DecoyFrame: "decoy",
    SeenFrame: "decoy",
}


@dataclass(kw_only=True)
class Scene:
    """A broker and archivers as processes of their own; `archived` reads the last archiver's board."""

    folder: Path
    archive: Path
    broker: Broker
    running: list[asyncio.subprocess.Process] = field(default_factory=list)
    runs: int = 0

    async def start_broker(self) -> asyncio.subprocess.Process:
        return await self._start(*self.broker.spec().argv)

    async def start_archiver(self) -> asyncio.subprocess.Process:
        self.runs += 1
        program = str(Path(__file__).with_name("archive_process.py"))
        return await self._start(sys.executable, program, self.broker.url, str(self.archive), str(self.board))

    async def _start(self, *arguments: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *arguments, env={**os.environ, "PYTHONPATH": PATH}, stderr=asyncio.subprocess.DEVNULL
        )
        self.running.append(process)
        return process

    @property
    def board(self) -> Path:
        return self.folder / f"archiver-{self.runs}.board"

    def gauge(self, name: str) -> int:
        return counters.total(counters.read(self.board), name)

    @asynccontextmanager
    async def publisher(self) -> AsyncIterator[NatsStream]:
        async with NatsStream(self.broker.url, ENDPOINT) as stream:
            yield stream


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    broker = Broker.choose(run_dir=tmp_path / "run", store=tmp_path / "store")
    scene = Scene(folder=tmp_path, archive=tmp_path / "archive", broker=broker)
    try:
        yield scene
    finally:
        for process in scene.running:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def publish(stream: NatsStream, frames: list[Frame]) -> None:
    for frame in frames:
        stream.publish(SUBJECTS[type(frame)], encode(frame))
        await asyncio.sleep(0.001)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.02)


async def kill(process: asyncio.subprocess.Process) -> None:
    process.kill()
    await process.wait()


async def stop(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(PATIENCE):
        assert await process.wait() == 0


def assert_each_once(archive: Path, requests: int, rows: int = 1) -> None:
    """Each row of each request once in each table, with both of its scores."""
    for table, each in {"requests": 1, "decoy": 1, "answers": 1, "scores": 2}.items():
        counts = Counter(looking.ids(str(archive), table))
        assert (len(counts), set(counts.values())) == (requests, {each * rows}), table


@pytest.mark.parametrize(("rows", "count"), SIZES)
async def test_an_archiver_that_is_killed_at_any_time_archives_everything_once(
    scene: Scene, rows: int, count: int
) -> None:
    frames = traffic(count, rows=rows)
    choose = random.Random(5)
    await scene.start_broker()
    async with scene.publisher() as stream:
        publishing = asyncio.create_task(publish(stream, frames))
        for _ in range(8):
            archiver = await scene.start_archiver()
            await until(lambda: scene.gauge("beat") > 0)
            await asyncio.sleep(choose.uniform(0.0, 0.4))
            await kill(archiver)
        archiver = await scene.start_archiver()
        await publishing
        await until(lambda: scene.gauge("archived") == 3 * count)
        await stop(archiver)
    assert_each_once(scene.archive, 3 * count, rows)


@pytest.mark.parametrize(("rows", "count"), SIZES)
async def test_a_broker_that_is_killed_under_load_costs_no_row_and_repeats_none(
    scene: Scene, rows: int, count: int
) -> None:
    frames = traffic(count, rows=rows)
    broker = await scene.start_broker()
    async with scene.publisher() as stream:
        archiver = await scene.start_archiver()
        publishing = asyncio.create_task(publish(stream, frames))
        for share in (1, 2):
            await until(lambda share=share: scene.gauge("archived") >= count // 2 * share)
            await kill(broker)
            broker = await scene.start_broker()
        await publishing
        await until(lambda: scene.gauge("archived") == 3 * count)
        await stop(archiver)
    assert_each_once(scene.archive, 3 * count, rows)


async def test_the_archiver_starts_before_the_broker_is_there_and_stops_cleanly(scene: Scene) -> None:
    archiver = await scene.start_archiver()
    await scene.start_broker()
    async with scene.publisher() as stream:
        await publish(stream, traffic(3))
        await stop_when(archiver, lambda: scene.gauge("archived") == 9)
    assert_each_once(scene.archive, 9)


async def stop_when(process: asyncio.subprocess.Process, holds: Callable[[], bool]) -> None:
    await until(holds)
    await stop(process)


# --- a disk that fills up -------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB; skipped where this user may not mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("mounting a small file system takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_a_full_disk_stops_archiving_loudly_and_everything_is_there_once_it_has_room(
    scene: Scene, small_disk: Path
) -> None:
    scene.archive = small_disk / "archive"
    ballast = small_disk / "ballast"
    await scene.start_broker()
    async with scene.publisher() as stream:
        archiver = await scene.start_archiver()
        frames = traffic(100)
        await publish(stream, frames[:100])
        await until(lambda: scene.gauge("archived") == 60)
        fill(ballast)
        await publish(stream, frames[100:])
        await until(lambda: scene.gauge("archive_failing") == 1)
        beat = scene.gauge("beat")
        await until(lambda: scene.gauge("beat") > beat)
        ballast.unlink()
        await until(lambda: scene.gauge("archived") == 300)
        await stop(archiver)
    assert_each_once(scene.archive, 300)


def fill(ballast: Path) -> None:
    """Leaves not a byte."""
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
