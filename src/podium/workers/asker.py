"""The gateway's part of the protocol, for whoever wants to see what one worker makes of it."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import suppress
from types import TracebackType

from podium.errors import BadInput, StreamAway
from podium.models.values import rows_of
from podium.protocol.frames import InputFrame, ProbeFrame, Reader, ScoresFrame, encode, pack
from podium.schema import Columns
from podium.streams.base import Stream, Subscription
from podium.workers.outside import Place
from podium.workers.own import Silent

ANSWER_SECONDS = 5.0


class Asker:
    """Publishes input frames for one contender, and collects its scores. `async with` listens."""

    def __init__(self, stream: Stream, place: Place, *, role: str) -> None:
        self._stream = stream
        self._place = place
        self._role = role
        self._address = secrets.token_hex(8)
        self.source = f"check-{self._address}"
        self._seq = 0
        self._reader = Reader(ScoresFrame)
        self.unread: list[str] = []
        self.heard: list[ScoresFrame] = []
        self._news = asyncio.Event()

    async def __aenter__(self) -> Asker:
        self._subscriptions: list[Subscription] = [
            await self._stream.subscribe(f"{kind}.{self._address}", self._take)
            for kind in ("scores", "probed")
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for subscription in self._subscriptions:
            with suppress(StreamAway):
                await subscription.close()

    def _take(self, payload: bytes) -> None:
        try:
            self.heard.append(self._reader.read(payload))
        except BadInput as error:
            self.unread.append(str(error))
        self._news.set()

    def frame(
        self, columns: Columns, *, rows: list[int] | None = None, deadline: float = ANSWER_SECONDS
    ) -> InputFrame:
        """A frame for this worker. `deadline` is in seconds from now."""
        self._seq += 1
        now = time.time_ns() // 1000
        count = len(rows) if rows else rows_of(columns)
        until = now + round(deadline * 1e6)
        return InputFrame(
            endpoint=self._place.endpoint,
            revision=7,
            source=self.source,
            seq=self._seq,
            reply=f"scores.{self._address}",
            ids=[f"request {self._seq}.{index} “ü”" for index in range(count)],
            rows=rows,
            arrived=[now] * count,
            deadline=[until] * count,
            sent=now,
            expires=max(now, until) + round(ANSWER_SECONDS * 1e6),
            contenders={self._place.contender: self._role},
            columns=pack(columns),
        )

    def send(self, frame: InputFrame) -> None:
        self._stream.publish("input", encode(frame))

    def send_raw(self, payload: bytes) -> None:
        self._stream.publish("input", payload)

    async def probe(self, seconds: float = ANSWER_SECONDS) -> ScoresFrame:
        self._seq += 1
        frame = ProbeFrame(
            endpoint=self._place.endpoint,
            revision=7,
            source=self.source,
            seq=self._seq,
            reply=f"probed.{self._address}",
        )
        self._stream.publish(f"probe.{self._place.contender}", encode(frame))
        return await self.answer(frame.seq, seconds)

    async def answer(self, seq: int, seconds: float = ANSWER_SECONDS) -> ScoresFrame:
        """The first scores frame for that frame. Raises Silent."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    self._news.clear()
                    if found := self.answers(seq):
                        return found[0]
                    await self._news.wait()
        said = f"; what came could not be read: {self.unread[-1]}" if self.unread else ""
        raise Silent(f"no scores within {seconds:g} s{said}")

    def answers(self, seq: int) -> list[ScoresFrame]:
        return [frame for frame in self.heard if frame.origin == self.source and frame.frame == seq]
