"""Small archives, written as the archiver writes them, to compare contenders in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from podium.archive.comparing.compare import compare, find
from podium.archive.comparing.lake import opened
from podium.archive.comparing.outputs import Classes
from podium.archive.entries import Door
from podium.archive.tables import Tables
from podium.period import Period
from podium.protocol.frames import Frame, encode
from podium.schema import Columns, Field, Kind, Schema
from podium.trials.comparison import Comparison

from ..traffic import ENDPOINT, NOW, Process

DAY = date(2023, 11, 14)
"""The day of `NOW`."""

LINEAR, FOREST, REFERENCE = "9f2c1ab04d5e", "77aa1ab04d5e", "29ac1561f3c2"
ROLES = {"linear": "champion", "forest": "challenger", "reference": "canary"}
VERSIONS = {"linear": LINEAR, "forest": FOREST, "reference": REFERENCE}

INPUTS = Schema((Field(name="bmi", type=Kind.FLOAT, missing=True), Field(name="region", type=Kind.STRING)))
NUMBER = Schema((Field(name="progression", type=Kind.FLOAT),))
CLASSES = Schema(
    (
        Field(name="label", type=Kind.STRING),
        Field(name="label_probability", type=Kind.FLOAT, shape=(-1,), classes=("no", "yes", "perhaps")),
    )
)


class World:
    """An archive that grows by `add`; frames are numbered and archived in the order in which they come."""

    def __init__(self, folder: Path, outputs: Schema = NUMBER, inputs: Schema = INPUTS) -> None:
        self.archive = str(folder)
        self._door = Door(ENDPOINT, inputs, outputs)
        self._tables = Tables(self.archive, ENDPOINT, inputs, outputs)
        self._tables.create()
        self._position = 0
        self.gateway = Process("gateway-1")
        self._workers = {model: Process(f"{model}-1") for model in ROLES}

    def add(self, *frames: Frame, day: date = DAY) -> None:
        entries = []
        for frame in frames:
            self._position += 1
            entries.append(self._door.admit(self._position, encode(frame)))
        self._tables.append(entries, day)

    def requests(self, ids: Sequence[str], columns: Columns, *, arrived: int = NOW, **more: Any) -> None:
        """A request each second from `arrived` on."""
        times = [arrived + 1_000_000 * number for number in range(len(ids))]
        self.add(self.gateway.input(ids, columns, arrived=times, **more))

    def scores(self, model: str, ids: Sequence[str], columns: Columns, **more: Any) -> None:
        version = more.pop("version", VERSIONS[model])
        frame = self._workers[model].scores(
            ids, columns, model=model, version=version, role=ROLES[model], **more
        )
        self.add(frame)

    def outcomes(self, ids: Sequence[str], columns: Columns, **more: Any) -> None:
        self.add(self.gateway.outcomes(ids, columns, **more))

    def compare(
        self,
        a: str = "linear",
        b: str = "forest",
        *,
        period: Period | None = None,
        tolerance: float = 0.05,
        classes: Classes | None = None,
        numbers: Mapping[tuple[str, str], int] | None = None,
    ) -> Comparison:
        since = period.first_day if period else None
        with opened(self.archive, ENDPOINT, since=since) as lake:
            found = find(lake, a, b, numbers=numbers or {}, period=period)
            return compare(lake, ENDPOINT, found, tolerance=tolerance, classes=classes or {})


def numbered(count: int, prefix: str = "r") -> list[str]:
    """Ids in the order of time, as a gateway's are."""
    return [f"{prefix}{number:06d}" for number in range(count)]


def inputs_of(generator: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    return {
        "bmi": generator.normal(size=count),
        "region": np.array(generator.choice(["north", "south", "east"], count), object),
    }
