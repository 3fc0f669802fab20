"""An endpoint on a broker in memory: gateways, workers, and contenders played by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from tests.unit.workers.stage import FOREST, INPUTS, LINEAR, OUTPUTS, PATIENCE, Listener, Model, scores_frame

from podium.counters import Board, read, total
from podium.gateway.large import LargeInputs
from podium.gateway.predict import Predictor
from podium.protocol.frames import KeptFrame, Reader, encode
from podium.records import Answer, Contender, Policy
from podium.run import Large, Limits, Run, WorkerSettings
from podium.schema import Schema
from podium.streams.memory import MemoryBroker, MemoryStream
from podium.streams.memory_objects import MemoryCellar, MemoryObjectStore
from podium.validation import Rows
from podium.workers.worker import Worker

DEFAULT = {"y": 152.13}
LONG = 60_000.0
KEPT = Reader(KeptFrame)


def run(
    *,
    deadline_ms: float = LONG,
    second_ms: float = 60.0,
    default: dict[str, Any] | None = DEFAULT,
    inputs: Schema = INPUTS,
    in_flight: int = 100,
    patience: float = 60.0,
    large: Large | None = None,
) -> Run:
    """Linear is the champion; forest is let in at `second_ms`."""
    return Run(
        policy=Policy(
            endpoint="diabetes",
            revision=3,
            contenders=(LINEAR, FOREST),
            deadline_ms=deadline_ms,
            schedule=((0.0, ("champion",)), (second_ms, ("champion", "challenger"))),
            default=default,
        ),
        inputs=inputs,
        outputs=OUTPUTS,
        stream="",
        archive="",
        registry="",
        run_dir="",
        limits=Limits(in_flight=in_flight),
        large=large or Large(),
        workers={"linear": WorkerSettings(timeout=patience)},
    )


class World:
    """A broker, a connection for gateways and one for contenders, and all that was kept."""

    def __init__(self, broker: MemoryBroker, stream: MemoryStream, board: Board) -> None:
        self.broker = broker
        self.stream = stream
        self.board = board
        self.cellar = MemoryCellar()
        self.store = MemoryObjectStore(self.cellar)

    def gateway(self, **settings: Any) -> Predictor:
        told = run(**settings)
        return Predictor(told, self.stream, self.board, self.large(told))

    def large(self, told: Run) -> LargeInputs:
        return LargeInputs(told.large, self.store)

    def worker(self, contender: Contender, model: Model) -> AbstractAsyncContextManager[Worker]:
        return Worker(contender, model, self.stream, self.board, self.store)

    def kept(self, kind: type[Any]) -> list[Any]:
        frames = [KEPT.read(kept.payload) for kept in self.broker.read(0, 1000)]
        return [frame for frame in frames if isinstance(frame, kind)]

    async def hand(self) -> Hand:
        hand = Hand(self.stream)
        await self.stream.subscribe("input", hand.frames)
        return hand

    def counted(self, name: str, **labels: str) -> int:
        return total(read(self.board.path), name, **labels)


class Hand:
    """Contenders played by hand: what they are sent, and what they say to the first frame."""

    def __init__(self, stream: MemoryStream) -> None:
        self.frames = Listener()
        self._stream = stream

    async def say(self, by: Contender, values: Sequence[Any], **fields: Any) -> None:
        (frame,) = await self.frames.first(1)
        self._stream.publish(frame.reply, encode(scores_frame(frame, by, values, **fields)))


def rows(*values: float) -> Rows:
    return Rows([values], len(values), single=len(values) == 1)


def asking(gateway: Predictor, *values: float, **wishes: Any) -> asyncio.Task[Answer]:
    """Ask now, wait later."""
    return asyncio.create_task(ask(gateway, *values, **wishes))


async def ask(gateway: Predictor, *values: float, **wishes: Any) -> Answer:
    async with asyncio.timeout(PATIENCE):
        return await gateway.answer(rows(*values), time.monotonic(), **wishes)


def said(answer: Answer) -> list[Any]:
    found = answer.columns["y"][answer.rows]
    return list(found)
