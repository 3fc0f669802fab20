"""The request path of an endpoint with features: a step more between the door and the frame."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType

from podium.counters import Board
from podium.gateway.features.sources import source_of
from podium.gateway.features.step import Step
from podium.gateway.large import LargeInputs
from podium.gateway.predict import Predictor
from podium.gateway.requests import Request
from podium.run import Features, Run
from podium.streams.base import Stream


class FeaturedPredictor(Predictor):
    """A predictor whose requests have looked-up features before they leave.

    All requests that would leave together are looked up together.
    """

    def __init__(
        self, run: Run, features: Features, stream: Stream, board: Board, large: LargeInputs
    ) -> None:
        super().__init__(run, stream, board, large)
        self._lookup = source_of(features, run.asked, board.gauge("features_stale").set)
        self._step = Step(features, self._lookup, board)
        self._looking: set[asyncio.Task[None]] = set()

    def _depart(self, requests: Sequence[Request]) -> None:
        lefts = [self._left(request) for request in requests]
        budget = self._step.budget
        together = [r for r, left in zip(requests, lefts, strict=True) if left >= budget]
        if together:
            self._look_up(together, budget)
        for request, left in zip(requests, lefts, strict=True):
            if left < budget:  # it would be late itself, and must not make others so
                self._look_up([request], max(0.0, left))

    def _look_up(self, requests: Sequence[Request], seconds: float) -> None:
        self._undecided += 1  # so that those who come meanwhile are looked up together, too
        task = asyncio.create_task(self._complete(requests, seconds), name="gateway features")
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)

    async def _complete(self, requests: Sequence[Request], seconds: float) -> None:
        try:
            whole = await self._step.complete([request.rows for request in requests], seconds)
            for request, rows in zip(requests, whole, strict=True):
                request.rows = rows
            super()._depart(requests)
        except Exception as error:  # nobody else would tell those who wait
            for request in requests:
                request.fail(error)
        finally:
            self._undecided -= 1
            self._landed.set()

    async def __aenter__(self) -> FeaturedPredictor:
        await self._lookup.__aenter__()
        await super().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._looking:
            task.cancel()
        await asyncio.gather(*self._looking, return_exceptions=True)
        await super().__aexit__(kind, error, trace)
        await self._lookup.__aexit__(kind, error, trace)
