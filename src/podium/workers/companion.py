"""Beside a worker in another language: tries its samples, lets it in, sees that it lives, counts its scores.

What the worker does is its own affair (`docs/protocol.md`). This process stands for it with the supervisor:
it is ready when the worker is, its beat is the worker's answers to probes, and it ends when the worker does.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from types import TracebackType

import msgspec

from podium.counters import Board
from podium.errors import BadInput, ModelFailed, PackageError, StreamAway
from podium.models import samples as sample_files
from podium.models.manifest import Manifest
from podium.models.samples import Samples
from podium.protocol.frames import Reader, ScoresFrame
from podium.records import Contender
from podium.streams.base import Stream, Subscription
from podium.workers.outside import END_SECONDS, Outside
from podium.workers.own import Silent
from podium.workers.tally import Tally

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
JOIN_SECONDS = 5.0


class Companion:
    """Stands beside a worker that was started. `async with` counts; who made the worker ends it."""

    def __init__(self, worker: Outside, contender: Contender, stream: Stream, board: Board) -> None:
        self._worker = worker
        self._contender = contender
        self._stream = stream
        self._beat = board.gauge("beat")
        self._heard = 0
        self._tally = Tally(contender, board)

    async def __aenter__(self) -> Companion:
        counting = _Counting(self._contender, self._tally)
        group = f"counts.{self._contender.name}"
        self._counting: Subscription = await self._stream.subscribe("scores.*", counting.take, group=group)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What the worker still scores is counted."""
        self._tally.ready(0)
        self._worker.terminate()
        await self._worker.wait(END_SECONDS)
        with suppress(StreamAway):
            await self._counting.close()

    async def let_in(self, manifest: Manifest, samples: Samples) -> None:
        """It joins its group only now: one that gives other answers than when it was packed never scores.

        Raises PackageError where it does not start, and WrongSample.
        """
        try:
            found = await self._worker.first(samples.inputs, manifest.outputs)
            sample_files.check(manifest, samples, found)
            await self._worker.probe(JOIN_SECONDS)
        except (ModelFailed, StreamAway) as error:
            raise PackageError(
                f"{manifest.model}: {error}; `podium check {manifest.model}` tells more"
            ) from None
        self._seen()
        self._tally.ready(1)

    async def stay(self, stop: asyncio.Event) -> None:
        """Until told to stop. Raises ModelFailed when the worker has ended, so that both are started anew."""
        while not stop.is_set():
            if ended := self._worker.ended:
                raise ModelFailed(f"the worker {ended}")
            if await self._lives():
                self._seen()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await stop.wait()

    async def _lives(self) -> bool:
        """Whether it has answered since the last look, be it an earlier probe: a batch may take longer.

        While the broker is away, nobody can say that it does not.
        """
        with suppress(Silent, StreamAway):
            await self._worker.probe(LOOK_SECONDS)
        before, self._heard = self._heard, self._worker.heard
        return self._heard != before or not self._stream.connected

    def _seen(self) -> None:
        self._beat.set(time.time_ns() // 1000)


class _Counting:
    """Counts the scores of a contender, as its workers would.

    It hears those of all contenders. The companions of one share a queue group, so that each of its
    frames is counted by one of them, whoever scored it.
    """

    def __init__(self, contender: Contender, tally: Tally) -> None:
        self._contender = contender
        self._tally = tally
        self._reader = Reader(ScoresFrame)

    def take(self, payload: bytes) -> None:
        try:
            frame: ScoresFrame = self._reader.read(payload)
        except BadInput as error:
            log.error("scores: %s", error)
            return
        ours = (frame.model, frame.version) == (self._contender.model, self._contender.version)
        if ours and frame.source != frame.origin:  # else a gateway says, and counts, that there are none
            self._tally.count(frame, requests=len(msgspec.msgpack.decode(frame.ids)))
