"""`podium run`: one process of a node, started by its supervisor. Not for people."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import click
import msgspec
import uvloop

from podium import run as runs
from podium.counters import Board
from podium.node.orphans import die_with_parent
from podium.records import DECOY, Contender, Role
from podium.registry.base import Version
from podium.run import Run
from podium.streams.base import Stream
from podium.streams.connect import connect, objects, policies
from podium.streams.objects import ObjectStore

BEAT_SECONDS = 0.5

Job = Callable[[Run, Stream, Board, asyncio.Event], Awaitable[None]]


@click.group(hidden=True)
def run() -> None:
    """Run one process of a node."""


@run.command()
@click.option("--number", default=1)
@click.option("--fd", type=int, required=True)
@click.option("--grpc", default=None)
@click.argument("settings", type=Path)
def gateway(number: int, fd: int, grpc: str | None, settings: Path) -> None:
    """The front door."""
    from podium.gateway.server import serve  # each process imports only what it runs

    async def job(run: Run, stream: Stream, board: Board, stop: asyncio.Event) -> None:
        async with policies(run.stream, run.endpoint) as store, _objects(run) as large:
            await serve(run, stream, store, large, board, fd=fd, stop=stop, grpc=grpc)

    _process(f"gateway {number}", settings, job)


@run.command()
@click.option("--contender", required=True)
@click.option("--number", default=1)
@click.argument("settings", type=Path)
def worker(contender: str, number: int, settings: Path) -> None:
    """One process of a contender: MODEL@VERSION, or the decoy."""
    model, _, version = contender.partition("@")
    if model == DECOY:
        _process("worker decoy", settings, _decoy)
        return

    from podium.registry.folder import FolderRegistry  # each process imports only what it runs

    found = FolderRegistry(Path(runs.load(settings).registry)).find(model, version)
    if found.format == "stream":
        _process(f"worker {model} {number}", settings, partial(_outside, found), beats=False)
    else:
        _process(f"worker {model} {number}", settings, partial(_worker, found))


async def _worker(found: Version, run: Run, stream: Stream, board: Board, stop: asyncio.Event) -> None:
    from podium.models.loading import load  # each process imports only what it runs
    from podium.models.trust import Trust
    from podium.workers.worker import Worker

    settings = run.workers.get(found.model, runs.WorkerSettings())
    scorer = load(found.path, trust=Trust.load(), threads=settings.threads, timeout=settings.timeout)
    async with (
        _objects(run) as store,
        Worker(_contender(found), scorer, stream, board, store, batch_rows=settings.batch_rows),
    ):
        await stop.wait()


async def _outside(found: Version, run: Run, stream: Stream, board: Board, stop: asyncio.Event) -> None:
    """A worker in another language: this process only stands beside it."""
    from podium.models import samples  # each process imports only what it runs
    from podium.models.commands import Kept
    from podium.models.formats.process import launch_of
    from podium.models.loading import trusted
    from podium.models.modules import CODE
    from podium.models.trust import Trust
    from podium.workers.companion import Companion
    from podium.workers.outside import Outside, Place

    manifest = trusted(found.path, trust=Trust.load(), digest=found.digest)
    launch = launch_of(found.model, Kept.read(found.path), found.path / CODE)
    contender = _contender(found)
    rows = run.workers.get(found.model, runs.WorkerSettings()).batch_rows
    place = Place(url=run.stream, endpoint=run.endpoint, contender=contender.name, batch_rows=rows)
    async with (
        Outside(place, launch, stream) as worker,
        Companion(worker, contender, stream, board) as companion,
    ):
        await companion.let_in(manifest, samples.read(found.path, manifest))
        await companion.stay(stop)


def _objects(run: Run) -> AbstractAsyncContextManager[ObjectStore]:
    settings = run.large
    return objects(run.stream, run.endpoint, ttl=settings.ttl, max_bytes=settings.store_bytes)


def _contender(found: Version) -> Contender:
    """Frames say what it is now; who only stands by to join scores none."""
    return Contender(model=found.model, version=found.short, number=found.number, role=Role.CHALLENGER)


async def _decoy(run: Run, stream: Stream, board: Board, stop: asyncio.Event) -> None:
    from podium.workers.decoy import Decoy  # each process imports only what it runs

    async with Decoy(stream, board):
        await stop.wait()


@run.command()
@click.argument("settings", type=Path)
def archiver(settings: Path) -> None:
    """The stream into tables."""

    async def job(run: Run, stream: Stream, board: Board, stop: asyncio.Event) -> None:
        from podium.archive.archiver import Archiver  # each process imports only what it runs
        from podium.archive.drift import DriftWatch
        from podium.archive.lookups import Lookups
        from podium.models import manifest
        from podium.profiles import Profiles
        from podium.registry.folder import FolderRegistry

        def profiles_of(model: str, version: str) -> Profiles:
            return manifest.read(FolderRegistry(Path(run.registry)).find(model, version).path).profiles

        async with _objects(run) as store:
            archiver = Archiver(
                stream,
                archive=run.archive,
                endpoint=run.endpoint,
                inputs=run.inputs,
                outputs=run.outputs,
                board=board,
                store=store if run.large.keep else None,
                watch=DriftWatch(
                    run.inputs, run.outputs, profiles_of, folder=run.counters, window=run.drift_window_s
                ),
            )
            async with Lookups(
                stream, archive=run.archive, endpoint=run.endpoint, position=lambda: archiver.position
            ):
                await archiver.run(stop)

    _process("archiver", settings, job)


def _process(name: str, settings: Path, job: Job, *, beats: bool = True) -> None:
    """Everything that all processes share: log, counts, signals, stream, and a beat where `beats`."""
    die_with_parent()
    _log_as_json(name)
    _collect_garbage_rarely()
    told = runs.load(settings)
    with Board(told.board(name)) as board, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_stopped(told, board, job, beats=beats))


async def _until_stopped(run: Run, board: Board, job: Job, *, beats: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    lost, overdue = board.counter("unkept"), board.gauge("overdue")
    beating = asyncio.create_task(_beat(board), name="beat") if beats else None
    async with connect(run.stream, run.endpoint, lost=lost.add, overdue=overdue.set) as stream:
        await job(run, stream, board, stop)
    if beating:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)


async def _beat(board: Board) -> None:
    """A sign of life for the supervisor; a model that never returns stops it."""
    beat = board.gauge("beat")
    while True:
        beat.set(time.time_ns() // 1000)
        await asyncio.sleep(BEAT_SECONDS)


def _collect_garbage_rarely() -> None:
    """The request path makes no reference cycles; looking for them took six percent of its time."""
    gc.set_threshold(100_000, 20, 20)


def _log_as_json(name: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines(name))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class _JsonLines(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()
