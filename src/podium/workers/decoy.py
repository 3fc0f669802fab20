"""The decoy: scores nothing, and archives exactly what a model is sent."""

from __future__ import annotations

import logging
import secrets
import time
from types import TracebackType
from typing import Any

import msgspec

from podium.counters import Board
from podium.errors import PodiumError
from podium.protocol.frames import DIGESTED_BYTES, DecoyFrame, Frame, Reader, SeenFrame, digest, encode
from podium.records import DECOY
from podium.streams.base import Stream, Subscription

log = logging.getLogger(__name__)

LINGER_SECONDS = 0.02
"""Nobody waits for the decoy, so it takes what comes in so long a time in one turn."""


class Decoy:
    """Listens like any contender, and publishes the bytes that reached it, or their digest.

    `async with` joins.
    """

    def __init__(self, stream: Stream, board: Board) -> None:
        self._stream = stream
        self._source = f"decoy-{secrets.token_hex(8)}"
        self._seq = 0
        self._work = Reader(_Head)
        labels = {"model": DECOY, "version": ""}
        self._seen = board.counter("scored", **labels)
        self._ready = board.gauge("ready", **labels)

    async def __aenter__(self) -> Decoy:
        self._subscription: Subscription = await self._stream.subscribe("input", self._keep, group=DECOY)
        self._stream.linger(LINGER_SECONDS)
        self._ready.set(1)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ready.set(0)
        await self._subscription.close()

    def _keep(self, payload: bytes) -> None:
        try:
            seen: _Head = self._work.read(payload)
            self._stream.publish("decoy", encode(self._frame(seen, payload)))
        except PodiumError as error:
            log.error("decoy: %s", error)
            return
        self._seq += 1
        self._seen.add(len(seen.deadline))

    def _frame(self, seen: _Head, payload: bytes) -> Frame:
        envelope: dict[str, Any] = {
            "endpoint": seen.endpoint,
            "revision": seen.revision,
            "source": self._source,
            "seq": self._seq + 1,
        }
        done = time.time_ns() // 1000
        if len(payload) < DIGESTED_BYTES:
            return DecoyFrame(**envelope, done=done, input=payload)
        # What is large passes the broker, its file and the archiver once already.
        return SeenFrame(**envelope, done=done, origin=seen.source, frame=seen.seq, digest=digest(payload))


class _Head(msgspec.Struct, frozen=True, tag_field="kind", tag="input"):
    """As much of an input frame as counting needs; the columns are skipped, not decoded."""

    endpoint: str
    revision: int
    source: str
    seq: int
    deadline: list[int]
    v: int = 1
