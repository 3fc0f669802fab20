"""What all processes of a node, or of an image, share: log, counts, signals, stream, beat, health."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import uvloop

from podium.counters import Board, read, total
from podium.errors import NodeError
from podium.health import Health
from podium.node.orphans import die_with_parent
from podium.run import Post, Run
from podium.streams.base import Stream
from podium.streams.connect import connect, objects
from podium.streams.objects import ObjectStore

BEAT_SECONDS = 0.5

Job = Callable[[Stream, Board, asyncio.Event], Awaitable[None]]


class Probes(NamedTuple):
    """Where probes are answered (0 is nowhere), and whether being ready takes more than a connection."""

    port: int
    wait_for_ready: bool = True


def process(
    name: str,
    told: Run | Post,
    job: Job,
    *,
    beats: bool = True,
    counts_dead: bool = False,
    probes: Probes | None = None,
) -> None:
    """Run a job until somebody asks to stop. It beats for a supervisor where `beats`.

    One that `counts_dead` counts for all what the broker has put aside.
    """
    die_with_parent()
    _log_as_json(name)
    _collect_garbage_rarely()
    board_file = told.board(name)
    _writable(board_file.parent)
    with Board(board_file) as board, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(
            _until_stopped(told, board_file, board, job, beats=beats, counts_dead=counts_dead, probes=probes)
        )


def objects_of(told: Run | Post) -> AbstractAsyncContextManager[ObjectStore]:
    """Where large inputs are."""
    large = told.large
    return objects(told.stream, told.endpoint, ttl=large.ttl, max_bytes=large.store_bytes)


def _writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NodeError(
            f"cannot write under {folder}: {error.strerror}; PODIUM_RUN_DIR names a folder where one can"
        ) from None


async def _until_stopped(
    run: Run | Post,
    board_file: Path,
    board: Board,
    job: Job,
    *,
    beats: bool,
    counts_dead: bool,
    probes: Probes | None,
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    lost, overdue = board.counter("unkept"), board.gauge("overdue")
    dead = board.gauge("dead_letters").set if counts_dead else None
    beating = asyncio.create_task(_beat(board), name="beat") if beats else None
    async with AsyncExitStack() as stack:
        stream = await stack.enter_async_context(
            connect(run.stream, run.endpoint, lost=lost.add, overdue=overdue.set, dead=dead)
        )
        if probes and probes.port:
            await stack.enter_async_context(Health(probes.port, partial(_ready, stream, board_file, probes)))
        await job(stream, board, stop)
    if beating:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)


def _ready(stream: Stream, board: Path, probes: Probes) -> bool:
    return stream.connected and (not probes.wait_for_ready or total(read(board), "ready") > 0)


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
