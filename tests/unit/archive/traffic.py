"""Frames as gateways, workers and the decoy publish them, for the archive's tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from podium.protocol.frames import (
    DIGESTED_BYTES,
    AnswersFrame,
    DecoyFrame,
    Frame,
    InputFrame,
    OutcomesFrame,
    ScoresFrame,
    SeenFrame,
    digest,
    encode,
    pack,
)
from podium.schema import Columns, Field, Kind, Schema

ENDPOINT = "diabetes"
INPUTS = Schema((Field(name="bmi", type=Kind.FLOAT),))
OUTPUTS = Schema((Field(name="progression", type=Kind.FLOAT),))
NOW = 1_700_000_000_000_000
MANY_ROWS = 800
"""Of three requests with so many the decoy sends the digest."""


class Process:
    """Something that publishes: its frames are numbered without holes."""

    def __init__(self, source: str = "gateway-1") -> None:
        self.source = source
        self.seq = 0

    def envelope(self) -> dict[str, Any]:
        self.seq += 1
        return {"endpoint": ENDPOINT, "revision": 3, "source": self.source, "seq": self.seq}

    def input(
        self,
        ids: Sequence[str],
        columns: Columns | None = None,
        *,
        rows: list[int] | None = None,
        **more: Any,
    ) -> InputFrame:
        given = numbers("bmi", rows, len(ids)) if columns is None else columns
        return InputFrame(
            **self.envelope(),
            reply="scores.gateway-1",
            ids=list(ids),
            rows=rows,
            arrived=more.pop("arrived", [NOW + index for index in range(len(ids))]),
            deadline=[NOW + 100_000] * len(ids),
            sent=NOW,
            expires=NOW + 5_000_000,
            columns=pack(given),
            **more,
        )

    def scores(
        self,
        ids: Sequence[str],
        columns: Columns | None = None,
        *,
        rows: list[int] | None = None,
        **more: Any,
    ) -> ScoresFrame:
        given = numbers("progression", rows, len(ids)) if columns is None else columns
        return ScoresFrame(
            **self.envelope(),
            origin=more.pop("origin", "gateway-1"),
            frame=more.pop("frame", self.seq),
            model=more.pop("model", "linear"),
            version=more.pop("version", "9f2c1ab04d5e"),
            role=more.pop("role", "champion"),
            ids=msgspec.Raw(msgspec.msgpack.encode(list(ids))),
            rows=rows,
            done=NOW + 1000,
            queue_ms=0.25,
            compute_ms=0.5,
            columns=pack(given),
            **more,
        )

    def answers(
        self,
        ids: Sequence[str],
        columns: Columns | None = None,
        *,
        rows: list[int] | None = None,
        **more: Any,
    ) -> AnswersFrame:
        given = numbers("progression", rows, len(ids)) if columns is None else columns
        return AnswersFrame(
            **self.envelope(),
            model=more.pop("model", "linear"),
            version=more.pop("version", "9f2c1ab04d5e"),
            ids=list(ids),
            rows=rows,
            rules=more.pop("rules", ["champion"] * len(ids)),
            total_ms=[1.5] * len(ids),
            done=NOW + 2000,
            columns=pack(given),
            **more,
        )

    def outcomes(
        self,
        ids: Sequence[str],
        columns: Columns | None = None,
        *,
        numbers: list[int] | None = None,
        **more: Any,
    ) -> OutcomesFrame:
        given = {"progression": np.arange(len(ids), dtype="f8")} if columns is None else columns
        return OutcomesFrame(
            **self.envelope(),
            ids=list(ids),
            numbers=numbers,
            observed=more.pop("observed", [NOW - 1000 * index for index in range(len(ids))]),
            done=more.pop("done", NOW + 3000),
            columns=pack(given),
            **more,
        )

    def decoy(self, frame: InputFrame) -> DecoyFrame:
        return DecoyFrame(**self.envelope(), done=NOW + 500, input=encode(frame))

    def seen(self, frame: InputFrame) -> SeenFrame:
        return SeenFrame(
            **self.envelope(),
            done=NOW + 500,
            origin=frame.source,
            frame=frame.seq,
            digest=digest(encode(frame)),
        )


def numbers(name: str, rows: list[int] | None, requests: int) -> Mapping[str, np.ndarray]:
    return {name: np.arange(sum(rows) if rows else requests, dtype=np.float64)}


def ids(count: int, prefix: str = "r") -> list[str]:
    return [f"{prefix}{n}" for n in range(count)]


def traffic(frames: int, *, requests: int = 3, rows: int = 1) -> list[Frame]:
    """A gateway, two contenders and a decoy at work: five frames for each input frame."""
    each = None if rows == 1 else [rows] * requests
    gateway, linear, forest, decoy = (
        Process(f"{name}-1") for name in ("gateway", "linear", "forest", "decoy")
    )
    found: list[Frame] = []
    for number in range(frames):
        names = ids(requests, f"{number}.")
        sent = gateway.input(names, rows=each)
        seen = decoy.seen(sent) if len(encode(sent)) >= DIGESTED_BYTES else decoy.decoy(sent)
        found += [sent, seen, linear.scores(names, rows=each), gateway.answers(names, rows=each)]
        more = {"model": "forest", "version": "0a1b2c3d4e5f", "role": "challenger"}
        found.append(forest.scores(names, rows=each, **more))
    return found
