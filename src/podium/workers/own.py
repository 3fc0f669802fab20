"""One worker process asked by itself: on a subject that nobody else hears and nothing keeps."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType

import numpy as np

from podium.errors import BadInput, ModelFailed, StreamAway
from podium.models.values import conform_all, rows_of
from podium.protocol.frames import InputFrame, ProbeFrame, Reader, ScoresFrame, encode, pack, unpack
from podium.schema import Columns, Schema
from podium.streams.base import Stream, Subscription

log = logging.getLogger(__name__)


class Silent(ModelFailed):
    """No answer in time."""


class Own:
    """Probes and rows for one process, and its answers. `async with` listens for them.

    `subject` is what the process is told to listen to, below the endpoint's; `heard` is how often it has
    answered, late or not.
    """

    def __init__(self, stream: Stream, endpoint: str) -> None:
        address = secrets.token_hex(8)
        self.subject = f"own.{address}"
        self._reply = f"probed.{address}"
        self._source = f"own-{address}"
        self._stream = stream
        self._endpoint = endpoint
        self._seq = 0
        self.heard = 0
        self._reader = Reader(ScoresFrame)
        self._waiting: dict[int, asyncio.Future[ScoresFrame]] = {}

    async def __aenter__(self) -> Own:
        self._subscription: Subscription = await self._stream.subscribe(self._reply, self._on_answer)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(StreamAway):
            await self._subscription.close()

    async def probe(self, seconds: float) -> ScoresFrame:
        """Its answer to a probe. Raises Silent, or StreamAway."""
        seq = self._next()
        frame = ProbeFrame(
            endpoint=self._endpoint, revision=0, source=self._source, seq=seq, reply=self._reply
        )
        return await self._asked(seq, encode(frame), seconds)

    async def score(self, columns: Columns, outputs: Schema, seconds: float) -> dict[str, np.ndarray]:
        """Its scores of rows, each a request. Raises Silent, StreamAway, or ModelFailed for what is none."""
        seq, now = self._next(), time.time_ns() // 1000
        rows = rows_of(columns)
        until = now + round(seconds * 1e6)
        frame = InputFrame(
            endpoint=self._endpoint,
            revision=0,
            source=self._source,
            seq=seq,
            reply=self._reply,
            ids=[f"sample {row}" for row in range(rows)],
            arrived=[now] * rows,
            deadline=[until] * rows,
            sent=now,
            expires=until,
            columns=pack(columns),
        )
        return scores_in(await self._asked(seq, encode(frame), seconds), outputs, rows)

    def _next(self) -> int:
        self._seq += 1
        return self._seq

    async def _asked(self, seq: int, payload: bytes, seconds: float) -> ScoresFrame:
        waiting: asyncio.Future[ScoresFrame] = asyncio.get_running_loop().create_future()
        self._waiting[seq] = waiting
        try:
            self._stream.publish(self.subject, payload)
            async with asyncio.timeout(seconds):
                return await waiting
        except TimeoutError:
            raise Silent(f"no answer within {seconds:g} s") from None
        finally:
            del self._waiting[seq]

    def _on_answer(self, payload: bytes) -> None:
        try:
            frame: ScoresFrame = self._reader.read(payload)
        except BadInput as error:
            log.error("an answer is none: %s", error)
            return
        if frame.origin != self._source:
            return
        self.heard += 1
        waiting = self._waiting.get(frame.frame)
        if waiting is not None and not waiting.done():
            waiting.set_result(frame)


def scores_in(frame: ScoresFrame, outputs: Schema, rows: int) -> dict[str, np.ndarray]:
    """The scores of a frame, one for each row. Raises ModelFailed for errors, and what is no score."""
    errors: Mapping[int, str] = frame.errors or {}
    if text := frame.error or next(iter(errors.values()), None):
        raise ModelFailed(f"it answered the error {text!r}")
    try:
        return conform_all(outputs, unpack(frame.columns), rows)
    except BadInput as error:
        raise ModelFailed(str(error)) from None
