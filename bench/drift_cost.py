"""`bench drift`: the processor time that comparing with training adds to archiving, for three contenders."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median

import msgspec
import numpy as np

from bench.project import ENDPOINT
from bench.results import Figure
from bench.running import recording, say
from bench.serving import scratch
from podium.archive.archiver import BATCH_MESSAGES
from podium.archive.drift import DriftWatch
from podium.archive.entries import Door
from podium.archive.tables import Tables
from podium.profiles import Profile, Profiles
from podium.protocol.frames import AnswersFrame, Frame, InputFrame, ScoresFrame, encode, pack
from podium.schema import Field, Kind, Schema

CONTENDERS = ("linear", "forest", "reference")
VERSION = "0123456789ab"
OUTPUTS = Schema((Field(name="progression", type=Kind.FLOAT),))
NOW = 1_700_000_000_000_000
WINDOW_SECONDS = 600.0


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Frames of so many requests with so many inputs each."""

    name: str
    frames: int
    requests: int
    inputs: int

    @property
    def schema(self) -> Schema:
        return Schema(tuple(Field(name=f"x{n}", type=Kind.FLOAT) for n in range(self.inputs)))


SHAPES = (
    Traffic(name="frames of one request, three inputs", frames=4000, requests=1, inputs=3),
    Traffic(name="frames of 13 requests, three inputs", frames=4000, requests=13, inputs=3),
    Traffic(name="frames of 13 requests, forty inputs", frames=1500, requests=13, inputs=40),
)


def measure(folder: Path, *, times: int) -> None:
    with recording("drift", folder, times=times) as results:
        for shape in SHAPES:
            archiving, watching = zip(*(_timed(shape) for _ in range(times)), strict=True)
            rate = shape.frames * shape.requests / median(archiving)
            note = f"of what archiving takes; that is {rate:,.0f} rows/s without the stream"
            share = 100 * median(watching) / median(archiving)
            say(results, Figure(name=shape.name, value=share, unit="%", note=note))


def _timed(shape: Traffic) -> tuple[float, float]:
    """Seconds of processor time: to check and commit all, and to compare it with training."""
    chance = np.random.default_rng(0)
    messages = [encode(frame) for frame in _frames(shape, chance)]
    training = Profile.of(chance.normal(size=1000))
    profiles = Profiles(
        inputs=dict.fromkeys(shape.schema.names, training), scores=dict.fromkeys(OUTPUTS.names, training)
    )
    with scratch() as place:
        tables = Tables(str(place / "archive"), ENDPOINT, shape.schema, OUTPUTS)
        tables.create()
        door = Door(ENDPOINT, shape.schema, OUTPUTS)
        watch = DriftWatch(
            shape.schema, OUTPUTS, lambda model, version: profiles, folder=place, window=WINDOW_SECONDS
        )
        archiving = watching = 0.0
        for start in range(0, len(messages), BATCH_MESSAGES):
            began = time.process_time()
            batch = messages[start : start + BATCH_MESSAGES]
            entries = [door.admit(start + n + 1, message) for n, message in enumerate(batch)]
            tables.append(entries, date(2026, 1, 1))
            between = time.process_time()
            watch(entries)
            archiving += between - began
            watching += time.process_time() - between
    return archiving, watching


def _frames(shape: Traffic, chance: np.random.Generator) -> Iterator[Frame]:
    """What a gateway and the workers publish: for each input frame three of scores, one of answers."""
    roles = {f"{model}@{VERSION}": "challenger" for model in CONTENDERS}
    for number in range(shape.frames):
        ids = [f"{number:016d}-{n:016d}" for n in range(shape.requests)]
        envelope = {"endpoint": ENDPOINT, "revision": 1}
        yield InputFrame(
            **envelope, source="gateway", seq=2 * number, reply="scores.gateway", ids=ids,
            arrived=[NOW] * len(ids), deadline=[NOW] * len(ids), sent=NOW, expires=NOW, contenders=roles,
            columns=pack({name: chance.normal(size=len(ids)) for name in shape.schema.names}),
        )  # fmt: skip
        for model in CONTENDERS:
            yield _scores(model, number, ids, chance)
        yield AnswersFrame(
            **envelope, source="gateway", seq=2 * number + 1, model="linear", version=VERSION, ids=ids,
            rules=["champion"] * len(ids), total_ms=[1.0] * len(ids), done=NOW,
            columns=pack({"progression": chance.normal(size=len(ids))}),
        )  # fmt: skip


def _scores(model: str, number: int, ids: Sequence[str], chance: np.random.Generator) -> ScoresFrame:
    return ScoresFrame(
        endpoint=ENDPOINT, revision=1, source=model, seq=number, origin="gateway", frame=2 * number,
        model=model, version=VERSION, role="challenger", ids=msgspec.Raw(msgspec.msgpack.encode(list(ids))),
        done=NOW, queue_ms=0.2, compute_ms=0.5,
        columns=pack({"progression": chance.normal(size=len(ids))}),
    )  # fmt: skip
