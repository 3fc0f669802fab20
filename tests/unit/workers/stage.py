"""What tests of workers and gateways play with: an endpoint, its contenders, models, a listener."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from podium.protocol.frames import Frame, InputFrame, KeptFrame, Reader, ScoresFrame, encode, pack
from podium.records import Contender, Role
from podium.schema import Columns, Field, Kind, Schema
from podium.streams.memory_objects import MemoryCellar, MemoryObjectStore

PATIENCE = 10.0
INPUTS = Schema((Field(name="x", type=Kind.FLOAT),))
OUTPUTS = Schema((Field(name="y", type=Kind.FLOAT),))
LINEAR = Contender(model="linear", version="9f2c1ab04d5e", number=1, role=Role.CHAMPION)
FOREST = Contender(model="forest", version="0a1b2c3d4e5f", number=1, role=Role.CHALLENGER)
STORE = MemoryObjectStore(MemoryCellar())
"""Of those who have nothing large."""


class Model:
    """A scorer made of a function; it remembers how many rows each prediction had."""

    def __init__(
        self, function: Callable[[Columns], Any], *, inputs: Schema = INPUTS, outputs: Schema = OUTPUTS
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.asked: list[int] = []
        self._function = function

    def predict(self, columns: Columns) -> Mapping[str, np.ndarray]:
        self.asked.append(len(next(iter(columns.values()))))
        found: Mapping[str, np.ndarray] = self._function(columns)
        return found


def times(factor: float) -> Model:
    """Multiplies x; it cannot bear 13."""

    def predict(columns: Columns) -> dict[str, np.ndarray]:
        if (columns["x"] == 13).any():
            raise ValueError("I do not like 13")
        return {"y": factor * columns["x"]}

    return Model(predict)


class Listener:
    """Collects the frames that it receives."""

    def __init__(self) -> None:
        self.frames: list[Any] = []
        self._reader = Reader(KeptFrame)

    def __call__(self, payload: bytes) -> None:
        self.frames.append(self._reader.read(payload))

    async def first(self, count: int) -> list[Any]:
        """Wait for so many frames."""
        await until(lambda: len(self.frames) >= count)
        return self.frames[:count]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.001)


def now() -> int:
    return time.time_ns() // 1000


def input_frame(values: Sequence[Any], *, seq: int = 1, **fields: Any) -> InputFrame:
    """Requests of one row each, unless `rows` says otherwise; a minute is left for them."""
    count = len(fields.get("rows") or values)
    of_frame: dict[str, Any] = {
        "endpoint": "diabetes",
        "revision": 3,
        "source": "gateway-1",
        "seq": seq,
        "reply": "scores.gateway-1",
        "ids": [f"{seq}.{index}" for index in range(count)],
        "arrived": [now()] * count,
        "deadline": [now() + 60_000_000] * count,
        "sent": now(),
        "expires": now() + 60_000_000,
        "columns": pack({"x": np.array(values, "f8")}),
    }
    return InputFrame(**of_frame | fields)


def message(values: Sequence[Any], **fields: Any) -> bytes:
    frame: Frame = input_frame(values, **fields)
    return encode(frame)


def scores_frame(sent: InputFrame, by: Contender, values: Sequence[Any], **fields: Any) -> ScoresFrame:
    """What a contender says to an input frame."""
    of_frame: dict[str, Any] = {
        "endpoint": sent.endpoint,
        "revision": sent.revision,
        "source": f"worker-{by.model}",
        "seq": sent.seq,
        "origin": sent.source,
        "frame": sent.seq,
        "model": by.model,
        "version": by.version,
        "role": by.role.value,
        "ids": msgspec.Raw(msgspec.msgpack.encode(sent.ids)),
        "rows": sent.rows,
        "done": now(),
        "queue_ms": 0.0,
        "compute_ms": 0.0,
        "columns": pack({"y": np.array(values)}),
    }
    return ScoresFrame(**of_frame | fields)
