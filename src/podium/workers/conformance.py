"""Whether a worker keeps the stream's protocol: one check after the other, each failure explained.

This plays the gateway over a broker that nobody else uses and that may be killed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Protocol

import msgspec
import numpy as np

from podium.errors import ModelFailed, StreamAway
from podium.models.checks import Check, Verdict
from podium.models.examples import Examples
from podium.models.process.child import Launch
from podium.models.values import rows_of, take
from podium.protocol import large
from podium.protocol.frames import InputFrame, ScoresFrame, encode
from podium.schema import Columns, Kind, Schema
from podium.streams.base import Stream
from podium.streams.connect import objects
from podium.workers.asker import ANSWER_SECONDS, Asker
from podium.workers.outside import END_SECONDS, Outside, Place
from podium.workers.own import Silent, scores_in

QUIET_SECONDS = 0.3
"""So long nothing is heard of a frame that is not to be scored, and that came before one that was."""

MANY, LARGE, FRAMES = 100, 4096, 50
STORE_BYTES = 16 * 1024 * 1024
_SAME = 1e-9
ROLE = "canary"


class Broker(Protocol):
    """A broker that can be killed."""

    @property
    def url(self) -> str: ...

    async def crash(self) -> None:
        """Kill it, and start it again where it was."""


class _Failed(Exception):
    """A check that failed: what was seen, and what to do."""

    def __init__(self, said: str, todo: str = "") -> None:
        super().__init__(said)
        self.todo = todo


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """The worker to check: what to start, what it gives, rows that it can score.

    `output` is a file descriptor for what it writes, instead of this process's own output.
    """

    launch: Launch
    outputs: Schema
    examples: Examples
    output: int | None = None


class Suite:
    """The checks of one worker. `run` yields them as they are made."""

    def __init__(self, subject: Subject, broker: Broker, stream: Stream, place: Place) -> None:
        self._broker = broker
        self._place = place
        self._outputs = subject.outputs
        self._examples = subject.examples
        self._gateway = Asker(stream, place, role=ROLE)
        self._worker = Outside(place, subject.launch, stream, output=subject.output)

    async def run(self) -> AsyncIterator[Check]:
        async with self._gateway, self._worker:
            starts = True
            for named in CHECKS:
                if not starts:
                    yield Check(name=named.name, verdict=Verdict.SKIPPED, said="it does not take part")
                    continue
                made = await self._made(named)
                starts = starts and (made.verdict is Verdict.OK or named not in CHECKS[:2])
                yield made

    async def _made(self, named: _Named) -> Check:
        failed, todo = "", named.todo
        try:
            if self._worker.ended:
                raise _Failed(f"the worker {self._worker.ended}", _LIVE_ON)
            return Check(name=named.name, verdict=Verdict.OK, said=await named.check(self))
        except _Failed as error:
            failed, todo = str(error), error.todo or todo
        except Silent as error:
            failed = f"the worker {self._worker.ended}" if self._worker.ended else str(error)
            todo = _LIVE_ON if self._worker.ended else todo
        except (ModelFailed, StreamAway) as error:
            failed = str(error)
        return Check(name=named.name, verdict=Verdict.FAILED, said=failed, todo=todo)

    # --- asking -------------------------------------------------------------------------------

    def _rows(self, count: int) -> dict[str, np.ndarray]:
        """The examples over and over."""
        there = rows_of(self._examples.columns)
        return take(self._examples.columns, np.arange(count) % there)

    async def _scored(self, frame: InputFrame) -> dict[str, np.ndarray]:
        self._gateway.send(frame)
        return self._scores(frame, await self._gateway.answer(frame.seq))

    def _scores(self, frame: InputFrame, answer: ScoresFrame) -> dict[str, np.ndarray]:
        self._check_envelope(frame, answer)
        rows = sum(frame.rows) if frame.rows else len(frame.ids)
        return scores_in(answer, self._outputs, rows)

    def _check_envelope(self, frame: InputFrame, answer: ScoresFrame) -> None:
        found = {
            "endpoint": (answer.endpoint, frame.endpoint),
            "revision": (answer.revision, frame.revision),
            "model@version": (f"{answer.model}@{answer.version}", self._place.contender),
            "role": (answer.role, ROLE),
            "ids": (msgspec.msgpack.decode(answer.ids), frame.ids),
            "rows": (answer.rows, frame.rows),
        }
        for name, (given, expected) in found.items():
            if given != expected:
                raise _Failed(f"`{name}` is {given!r:.80}, expected {expected!r:.80}")
        if answer.done < frame.sent - 1_000_000 or answer.queue_ms < 0 or answer.compute_ms < 0:
            raise _Failed(
                f"done {answer.done} µs, queue_ms {answer.queue_ms}, compute_ms {answer.compute_ms}",
                "`done` is microseconds since 1970, the durations are milliseconds and not negative",
            )

    async def _lives_on(self) -> None:
        await self._scored(self._gateway.frame(self._rows(1)))

    async def _is_dropped(self, frame: InputFrame, why: str, todo: str) -> None:
        self._gateway.send(frame)
        await self._lives_on()
        await asyncio.sleep(QUIET_SECONDS)
        if self._gateway.answers(frame.seq):
            raise _Failed(f"it scored a frame {why}", todo)

    # --- the checks ---------------------------------------------------------------------------

    async def starts(self) -> str:
        began = time.monotonic()
        frame = self._gateway.frame(self._rows(1))
        found = await self._worker.first(self._rows(1), self._outputs)
        self._gateway.send(frame)
        await asyncio.sleep(QUIET_SECONDS)
        if self._gateway.answers(frame.seq):
            raise _Failed("it scored a frame before it was let in", _JOIN)
        return f"its first scores came after {time.monotonic() - began - QUIET_SECONDS:.2f} s, {_few(found)}"

    async def joins(self) -> str:
        answer = await self._worker.probe(ANSWER_SECONDS)
        self._check_probe(answer)
        self._check_probe(await self._gateway.probe())
        return "probes are answered, on its own subject and among its contender's workers"

    def _check_probe(self, answer: ScoresFrame) -> None:
        if f"{answer.model}@{answer.version}" != self._place.contender:
            raise _Failed(f"the answer to a probe names {answer.model}@{answer.version}")
        if answer.seq or answer.columns or msgspec.msgpack.decode(answer.ids):
            raise _Failed("the answer to a probe has a `seq`, `ids` or `columns`")

    async def one_row(self) -> str:
        await self._scored(self._gateway.frame(self._rows(1)))
        return "one request, one score"

    async def many_rows(self) -> str:
        await self._scored(self._gateway.frame(self._rows(MANY)))
        return f"{MANY} requests, {MANY} scores"

    async def alone_and_together(self) -> str:
        together = await self._scored(self._gateway.frame(self._rows(3)))
        for index in range(3):
            rows = take(self._rows(3), slice(index, index + 1))
            alone = await self._scored(self._gateway.frame(rows))
            if not self._same(take(together, slice(index, index + 1)), alone):
                raise _Failed(
                    f"row {index} has another score alone than among three",
                    "score each row by itself: a model has no memory, and rows do not know of each other",
                )
        return "three rows give the same one by one"

    def _same(self, a: Columns, b: Columns) -> bool:
        return all(
            np.allclose(a[f.name], b[f.name], rtol=_SAME, atol=_SAME, equal_nan=True)
            if f.type is Kind.FLOAT
            else np.array_equal(a[f.name], b[f.name])
            for f in self._outputs.fields
        )

    async def several_rows(self) -> str:
        await self._scored(self._gateway.frame(self._rows(6), rows=[2, 1, 3]))
        return "requests of 2, 1 and 3 rows"

    async def large_columns(self) -> str:
        """Its scores, or an error, but no silence."""
        frame = self._gateway.frame(self._rows(1))
        expected = await self._scored(frame)
        async with objects(self._place.url, self._place.endpoint, ttl=60.0, max_bytes=STORE_BYTES) as store:
            references, emptied = {}, {}
            for name, packed in frame.columns.items():
                content = large.content(packed)
                references[name], emptied[name] = large.reference(content), large.emptied(packed)
                found = references[name]
                await store.put(found.object, content, sha256=found.digest)
            elsewhere = msgspec.structs.replace(
                self._gateway.frame(self._rows(1)), large=references, columns=emptied
            )
            self._gateway.send(elsewhere)
            answer = await self._gateway.answer(elsewhere.seq)
        if answer.error:
            return f"it answers the error {answer.error!r:.80}"
        if not self._same(self._scores(elsewhere, answer), expected):
            raise _Failed("the scores of a frame by reference are others than those of the same frame")
        return "columns by reference are fetched, and give the same scores"

    async def frames_together(self) -> str:
        expected = await self._scored(self._gateway.frame(self._rows(FRAMES)))
        frames = [
            self._gateway.frame(take(self._rows(FRAMES), slice(index, index + 1))) for index in range(FRAMES)
        ]
        for frame in frames:
            self._gateway.send(frame)
        for index, frame in enumerate(frames):
            found = self._scores(frame, await self._gateway.answer(frame.seq))
            if not self._same(found, take(expected, slice(index, index + 1))):
                raise _Failed("a frame has the scores of another")
        return f"{FRAMES} at once, one scores frame for each"

    async def numbers(self) -> str:
        kept = [frame for frame in self._gateway.heard if frame.seq]
        if len({frame.source for frame in kept}) != 1:
            raise _Failed("its `source` changes")
        seqs = [frame.seq for frame in kept]
        if any(after <= before for before, after in pairwise(seqs)):
            raise _Failed("its `seq` does not grow with each message")
        return f"{len(seqs)} messages of one source, each with a higher number"

    async def not_named(self) -> str:
        frame = self._gateway.frame(self._rows(1))
        frame = msgspec.structs.replace(frame, contenders={"another@0123456789ab": ROLE})
        await self._is_dropped(frame, "that names others", "drop frames whose `contenders` do not name you")
        open_to_all = self._gateway.frame(self._rows(1))
        self._gateway.send(msgspec.structs.replace(open_to_all, contenders=None))
        await self._gateway.answer(open_to_all.seq)
        return "a frame for others is dropped, one without names is scored"

    async def expired(self) -> str:
        past = time.time_ns() // 1000 - 100_000  # many languages tell the time in milliseconds
        frame = msgspec.structs.replace(self._gateway.frame(self._rows(1)), expires=past)
        await self._is_dropped(frame, "that has expired", "drop frames whose `expires` is past")
        return "it is dropped"

    async def late(self) -> str:
        frame = self._gateway.frame(self._rows(2), deadline=-0.1)
        self._gateway.send(frame)
        answer = await self._gateway.answer(frame.seq)
        self._scores(frame, answer)
        if sorted(answer.late or ()) != [0, 1]:
            raise _Failed(f"`late` is {answer.late}, expected [0, 1]")
        on_time = self._gateway.frame(self._rows(1))
        self._gateway.send(on_time)
        if late := (await self._gateway.answer(on_time.seq)).late:
            raise _Failed(f"`late` is {late} for a request whose deadline is to come")
        return "scored all the same, and listed in `late`"

    async def junk(self) -> str:
        good = encode(self._gateway.frame(self._rows(1)))
        for payload in (b"", b"\xc1", b"{}", good[:-3], good + b"\x00", msgspec.msgpack.encode([1, 2])):
            self._gateway.send_raw(payload)
        await self._lives_on()
        return "dropped, and it lives on"

    async def newer(self) -> str:
        frame = msgspec.structs.replace(self._gateway.frame(self._rows(1)), v=2)
        await self._is_dropped(frame, "of protocol 2", "drop frames whose `v` is above 1")
        return "a frame of protocol 2 is dropped"

    async def unknown_fields(self) -> str:
        frame = self._gateway.frame(self._rows(1))
        fields = {"later": {"a": [1, None]}, **msgspec.msgpack.decode(encode(frame))}
        self._gateway.send_raw(msgspec.msgpack.encode(fields))
        self._scores(frame, await self._gateway.answer(frame.seq))
        return "ignored"

    async def lies(self) -> str:
        frame = self._gateway.frame(self._rows(1))
        name, tensor = next(iter(frame.columns.items()))
        wrong = msgspec.structs.replace(tensor, shape=(2, *tensor.shape[1:]))
        columns = {**frame.columns, name: wrong}
        await self._is_dropped(
            msgspec.structs.replace(frame, columns=columns),
            "whose bytes are fewer than its shape says",
            "compare the length of each column's data with its shape and type before reading it",
        )
        return "dropped, and it lives on"

    async def failure(self) -> str:
        frame = msgspec.structs.replace(self._gateway.frame(self._rows(1)), columns={})
        self._gateway.send(frame)
        answer = await self._gateway.answer(frame.seq)
        self._check_envelope(frame, answer)
        if not answer.error or answer.columns:
            raise _Failed("it answered columns to a frame without its inputs")
        await self._lives_on()
        return f"it says {answer.error!r:.60} and lives on"

    async def large(self) -> str:
        began = time.monotonic()
        await self._scored(self._gateway.frame(self._rows(LARGE)))
        return f"{LARGE:,} rows in {(time.monotonic() - began) * 1000:.0f} ms"

    async def restart(self) -> str:
        await self._broker.crash()
        began = time.monotonic()
        while time.monotonic() - began < ANSWER_SECONDS:
            with suppress(Silent, StreamAway):
                await self._gateway.probe(QUIET_SECONDS)
                await self._lives_on()
                return f"it is there again after {time.monotonic() - began:.2f} s"
            if ended := self._worker.ended:
                raise _Failed(f"the worker {ended}", "connect again when the broker goes away; do not end")
            await asyncio.sleep(QUIET_SECONDS)
        raise Silent(f"not there again within {ANSWER_SECONDS:g} s")

    async def drains(self) -> str:
        frames = [self._gateway.frame(self._rows(MANY)) for _ in range(FRAMES)]
        for frame in frames:
            self._gateway.send(frame)
        await self._gateway.settled()  # all are at the worker, or on their way to it
        began = time.monotonic()
        self._worker.terminate()
        if not await self._worker.wait(END_SECONDS) or "SIGKILL" in self._worker.ended:
            raise _Failed("still there a second after SIGTERM", _END)
        took = time.monotonic() - began
        await self._gateway.settled()  # what it published before it ended has come
        if missing := sum(not self._gateway.answers(frame.seq) for frame in frames):
            raise _Failed(f"{missing} of {FRAMES} frames that it had have no scores", _END)
        return f"it scored what it had, and was gone after {took:.2f} s"


class _Named(NamedTuple):
    """A check, and what to do where its failure does not say it."""

    name: str
    check: Callable[[Suite], Awaitable[str]]
    todo: str


_LIVE_ON = "log what cannot be read or scored, and go on with the next message"
_JOIN = (
    "subscribe to $PODIUM_OWN first; only its first probe lets you in: then subscribe to `input` and to "
    "`probe.MODEL@VERSION`, with the queue group MODEL@VERSION"
)
_END = "on SIGTERM drain the subscriptions, score what is here, publish, flush, and end within a second"
_SCORES = "answer each input frame with one scores frame on its `reply`: docs/protocol.md has the fields"
_ERROR = "answer a frame that you cannot score with a scores frame that has `error` and empty `columns`"
_PROBE = (
    "answer a probe with a scores frame: `seq` 0, no ids, no columns, on the probe's `reply`; the first one "
    "of your own only once you have subscribed to `input` and `probe.MODEL@VERSION`"
)

_LARGE = "fetch what `large` names, or answer with an `error`; silence counts as a crash"

CHECKS: Sequence[_Named] = (
    _Named("starts", Suite.starts, _JOIN),
    _Named("probes", Suite.joins, _PROBE),
    _Named("one row", Suite.one_row, _SCORES),
    _Named("many rows", Suite.many_rows, _SCORES),
    _Named("rows alone and together", Suite.alone_and_together, _SCORES),
    _Named("requests of several rows", Suite.several_rows, _SCORES),
    _Named("several frames at once", Suite.frames_together, _SCORES),
    _Named("numbers", Suite.numbers, "one `source` for each start, and a higher `seq` for each message"),
    _Named("frames for others", Suite.not_named, _SCORES),
    _Named("an expired frame", Suite.expired, _SCORES),
    _Named("a late frame", Suite.late, "list in `late` the requests whose deadline is past at `done`"),
    _Named("junk", Suite.junk, _LIVE_ON),
    _Named("a newer protocol", Suite.newer, _LIVE_ON),
    _Named("unknown fields", Suite.unknown_fields, "ignore fields that you do not know"),
    _Named("a tensor that lies", Suite.lies, _LIVE_ON),
    _Named("a missing input", Suite.failure, _ERROR),
    _Named("large columns", Suite.large_columns, _LARGE),
    _Named("a large frame", Suite.large, _SCORES),
    _Named("the broker restarts", Suite.restart, "connect again, and subscribe again"),
    _Named("SIGTERM", Suite.drains, _END),
)


def _few(columns: Columns) -> str:
    name, values = next(iter(columns.items()))
    return f"{name} = {values.ravel()[0]}"
