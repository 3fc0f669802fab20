"""Who has answered a probe, and since when the others are awaited."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType

from podium.errors import BadInput, StreamAway
from podium.protocol.frames import ProbeFrame, Reader, ScoresFrame, encode
from podium.records import Contender, Policy
from podium.streams.base import Stream, Subscription

log = logging.getLogger(__name__)

PROBE_SECONDS = 0.1


class Probes:
    """Probes each of `contenders` until it answers. `async with` starts.

    `ready` is told 1 when all have answered, and 0 at the end.
    """

    def __init__(
        self,
        policy: Policy,
        stream: Stream,
        *,
        contenders: Iterable[Contender],
        ready: Callable[[int], None] = lambda value: None,
    ) -> None:
        self._policy = policy
        self._stream = stream
        self._address = f"probed.{secrets.token_hex(8)}"
        self._silent = {(contender.model, contender.version): contender for contender in contenders}
        self._reader = Reader(ScoresFrame)
        self._ready = ready

    @property
    def silent(self) -> list[Contender]:
        """The contenders that have not answered yet."""
        return list(self._silent.values())

    @property
    def waited(self) -> float:
        """Seconds since the first probe."""
        return time.monotonic() - self._began

    async def __aenter__(self) -> Probes:
        self._began = time.monotonic()
        self._subscription: Subscription = await self._stream.subscribe(self._address, self._on_answer)
        self._probing = asyncio.create_task(self._probe(), name="gateway probes")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ready(0)
        self._probing.cancel()
        with suppress(StreamAway):
            await self._subscription.close()

    async def _probe(self) -> None:
        while self._silent:
            for contender in self.silent:
                with suppress(StreamAway):
                    self._stream.publish(f"probe.{contender.name}", encode(self._frame()))
            await asyncio.sleep(PROBE_SECONDS)
        self._ready(1)

    def _frame(self) -> ProbeFrame:
        policy = self._policy
        return ProbeFrame(
            endpoint=policy.endpoint, revision=policy.revision, source="gateway", seq=0, reply=self._address
        )

    def _on_answer(self, payload: bytes) -> None:
        try:
            frame: ScoresFrame = self._reader.read(payload)
        except BadInput as error:
            log.error("probe: %s", error)
            return
        self._silent.pop((frame.model, frame.version), None)
