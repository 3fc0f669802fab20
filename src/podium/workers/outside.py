"""A worker process in another language: started, asked, let in, ended."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from podium.errors import ModelFailed, StreamAway
from podium.models.process.child import Launch
from podium.models.process.program import Program
from podium.protocol.frames import ScoresFrame
from podium.schema import Columns, Schema
from podium.streams.base import Stream
from podium.workers.own import Own, Silent

START_SECONDS = 50.0
"""How long it may take until it takes part; a worker is given 60 s to be ready."""

FIRST_ASK_SECONDS = 0.25
"""While it starts it is asked again and again, each time with twice as much time: it hears nothing
before it has subscribed."""

END_SECONDS = 1.3
"""From SIGTERM until its guard has killed what was still there."""

_LOOK_SECONDS = 0.02
_ADVICE = "it has to listen to $PODIUM_OWN, and to answer what comes there to its `reply`"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a worker works: the broker's URL with its credentials, the endpoint, and as whom.

    `batch_rows` is how many rows it should score at once at most.
    """

    url: str
    endpoint: str
    contender: str
    batch_rows: int = 4096

    def environment(self, own: str) -> dict[str, str]:
        """How the worker is told, with the subject that is its own."""
        return {
            "PODIUM_STREAM": self.url,
            "PODIUM_ENDPOINT": self.endpoint,
            "PODIUM_CONTENDER": self.contender,
            "PODIUM_OWN": own,
            "PODIUM_BATCH_ROWS": str(self.batch_rows),
        }


class Outside:
    """One process of a worker. `async with` starts it; the end of that ends it, in peace if it can be.

    `output` is a file descriptor that it writes to instead of this process's own output.
    """

    def __init__(self, place: Place, launch: Launch, stream: Stream, *, output: int | None = None) -> None:
        self._place = place
        self._launch = launch
        self._output = output
        self._own = Own(stream, place.endpoint)

    async def __aenter__(self) -> Outside:
        await self._own.__aenter__()
        environment = self._place.environment(self._own.subject)
        self._program = Program(self._launch, environment, output=self._output)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.terminate()
        await self.wait(END_SECONDS)
        self._program.kill()
        await self._own.__aexit__(kind, error, trace)

    @property
    def ended(self) -> str:
        """How it ended, in words; empty while it is there."""
        return self._program.ended

    @property
    def heard(self) -> int:
        """How often it has answered this process, late or not."""
        return self._own.heard

    def terminate(self) -> None:
        """SIGTERM: it scores what it has, and goes. What is still there a second later is killed."""
        self._program.terminate()

    async def wait(self, seconds: float) -> bool:
        """Whether it has ended within that time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.ended:
                    await asyncio.sleep(_LOOK_SECONDS)
        return bool(self.ended)

    async def first(self, columns: Columns, outputs: Schema) -> dict[str, np.ndarray]:
        """Its scores of these rows, as soon as it listens. Raises ModelFailed."""
        until = time.monotonic() + START_SECONDS
        patience = FIRST_ASK_SECONDS
        while time.monotonic() < until:
            try:
                return await self._unless_it_ends(columns, outputs, patience)
            except Silent:
                patience = min(2 * patience, until - time.monotonic())
            except StreamAway:
                await asyncio.sleep(FIRST_ASK_SECONDS)
        raise Silent(f"no answer to its first rows within {START_SECONDS:g} s; {_ADVICE}")

    async def _unless_it_ends(
        self, columns: Columns, outputs: Schema, seconds: float
    ) -> dict[str, np.ndarray]:
        asked = asyncio.create_task(self._own.score(columns, outputs, seconds))
        try:
            while not asked.done():
                await asyncio.wait({asked}, timeout=_LOOK_SECONDS)
                if self.ended:
                    raise ModelFailed(f"the worker {self.ended} before it answered")
            return await asked
        finally:
            asked.cancel()

    async def score(self, columns: Columns, outputs: Schema, seconds: float) -> dict[str, np.ndarray]:
        """Its scores of rows that only this process gets. Raises Silent, StreamAway or ModelFailed."""
        return await self._own.score(columns, outputs, seconds)

    async def probe(self, seconds: float) -> ScoresFrame:
        """Its answer to a probe; the first one lets it in among its contender's workers.

        Raises Silent or StreamAway.
        """
        return await self._own.probe(seconds)
