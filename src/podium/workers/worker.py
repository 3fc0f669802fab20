"""A contender's process: frames in, frames of scores out.

The prediction runs in the event loop's own thread: while it computes, frames gather, and the next
prediction takes all of them. A model that never returns stops the process's beat, and the
supervisor replaces the process.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Sequence
from types import TracebackType

import msgspec

from podium.counters import Board
from podium.errors import BadInput, PodiumError, TooLarge
from podium.protocol.frames import ProbeFrame, Reader, ScoresFrame, Tensor, Work, encode, pack
from podium.protocol.large import restored
from podium.records import Contender
from podium.streams.base import Stream, Subscription
from podium.streams.objects import ObjectStore
from podium.workers.scoring import Scored, Scorer, score_frames
from podium.workers.tally import Tally

log = logging.getLogger(__name__)

FETCHES = 2
"""So many frames with large inputs are in memory at a time: one is scored while the next one comes."""

_no_ids = msgspec.Raw(msgspec.msgpack.encode([]))


class Worker:
    """Scores an endpoint's frames with one model. `async with` joins the contender's queue group."""

    def __init__(
        self,
        contender: Contender,
        scorer: Scorer,
        stream: Stream,
        board: Board,
        store: ObjectStore,
        *,
        batch_rows: int = 4096,
    ) -> None:
        self._contender = contender
        self._scorer = scorer
        self._stream = stream
        self._store = store
        self._fetching: set[asyncio.Task[None]] = set()
        self._fetches = asyncio.Semaphore(FETCHES)
        self._batch_rows = batch_rows
        self._source = f"worker-{secrets.token_hex(8)}"
        self._seq = 0
        self._waiting: list[bytes] = []
        self._filled = asyncio.Event()
        self._work = Reader(Work)
        self._probes = Reader(ProbeFrame)
        self._name = contender.name
        self._tally = Tally(contender, board)

    async def __aenter__(self) -> Worker:
        name = self._name
        self._input: Subscription = await self._stream.subscribe(
            "input", self._take, group=name, settles=True
        )
        probed = await self._stream.subscribe(f"probe.{name}", self._on_probe, group=name)
        self._subscriptions: list[Subscription] = [self._input, probed]
        self._loop = asyncio.create_task(self._score_what_waits(), name=f"worker {name}")
        self._tally.ready(1)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take nothing new, score what is here, go."""
        self._tally.ready(0)
        for subscription in self._subscriptions:
            await subscription.close()
        while (self._waiting or self._fetching) and not self._loop.done():
            await asyncio.sleep(0.01)
        self._loop.cancel()
        await asyncio.gather(self._loop, return_exceptions=True)

    def _take(self, payload: bytes) -> None:
        self._waiting.append(payload)
        self._filled.set()

    async def _score_what_waits(self) -> None:
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._waiting:
                frames, outcomes = self._next_batch()
                try:
                    if frames:
                        self._score(frames)
                except Exception:  # whatever it was: a worker that takes frames must go on scoring
                    log.exception("%d frames have no scores", len(frames))
                self._input.settle(outcomes)  # last: whoever dies before this leaves them to another
                await asyncio.sleep(0)  # let frames that arrived meanwhile join the next batch

    def _next_batch(self) -> tuple[list[Work], list[str]]:
        """The frames that still matter, up to the batch's rows, at least one if there is one.

        Beside them, for each message that was looked at, why it is of no use, or nothing.
        """
        frames: list[Work] = []
        outcomes: list[str] = []
        rows = 0
        now = time.time_ns() // 1000
        while self._waiting and (not frames or rows < self._batch_rows):
            try:
                frame: Work = self._work.read(self._waiting.pop(0))
            except BadInput as error:
                log.error("input: %s", error)
                outcomes.append(f"input: {error}")
                continue
            outcomes.append("")
            # One that has expired is recorded as an error in our name; one that does not name us was sent
            # before we joined or after we left, and nobody waits for our scores.
            if frame.expires <= now or (frame.contenders is not None and self._name not in frame.contenders):
                continue
            if frame.large is not None:
                self._start_fetch(frame)
            else:
                frames.append(frame)
                rows += len(frame.deadline) if frame.rows is None else sum(frame.rows)
        return frames, outcomes

    # --- what is too large for a frame ------------------------------------------------------

    def _start_fetch(self, frame: Work) -> None:
        """Frames whose data is here are scored meanwhile."""
        task = asyncio.create_task(self._fetch_and_score(frame), name=f"worker {self._name} fetches")
        self._fetching.add(task)
        task.add_done_callback(self._fetching.discard)

    async def _fetch_and_score(self, frame: Work) -> None:
        """Alone: to put many megabytes beside others saves nothing."""
        async with self._fetches:
            try:
                async with asyncio.timeout(frame.expires / 1e6 - time.time()):
                    columns = await self._whole(frame)
            except TimeoutError:
                return  # it has expired, and is recorded as an error in our name
            except PodiumError as error:
                queue_ms = time.time_ns() / 1e6 - frame.sent / 1000
                self._send(frame, Scored(error=f"a large input is not there: {error}"), queue_ms, 0.0)
                return
            try:
                self._score([msgspec.structs.replace(frame, columns=columns)])
            except Exception:  # as above
                log.exception("a large frame has no scores")

    async def _whole(self, frame: Work) -> dict[str, Tensor]:
        """The frame's columns, with the data of those that the model takes. Raises BodyLost, StreamAway."""
        columns = dict(frame.columns)
        for name, reference in (frame.large or {}).items():
            if name in self._scorer.inputs and name in columns:
                content = await self._store.get(reference.object)
                columns[name] = await asyncio.to_thread(restored, columns[name], reference, content)
        return columns

    def _score(self, frames: Sequence[Work]) -> None:
        started, clock = time.time_ns() // 1000, time.perf_counter()
        found = score_frames(self._scorer, frames, [len(frame.deadline) for frame in frames])
        compute_ms = (time.perf_counter() - clock) * 1000
        for frame, scored in zip(frames, found, strict=True):
            self._send(frame, scored, (started - frame.sent) / 1000, compute_ms)

    def _send(self, work: Work, scored: Scored, queue_ms: float, compute_ms: float) -> None:
        done = time.time_ns() // 1000
        if done > work.expires:
            return
        late = [index for index, deadline in enumerate(work.deadline) if done > deadline]
        frame = self._frame(work, scored, done=done, queue_ms=queue_ms, compute_ms=compute_ms, late=late)
        try:
            self._stream.publish(work.reply, encode(frame))
        except TooLarge as error:
            scored = Scored(error=f"the scores are too large: {error}")
            frame = self._frame(work, scored, done=done, queue_ms=queue_ms, compute_ms=compute_ms, late=late)
            self._stream.publish(work.reply, encode(frame))
        self._seq = frame.seq  # only what went out is numbered: readers count without holes
        self._tally.count(frame, requests=len(work.deadline))

    def _frame(
        self, work: Work, scored: Scored, *, done: int, queue_ms: float, compute_ms: float, late: list[int]
    ) -> ScoresFrame:
        return ScoresFrame(
            endpoint=work.endpoint,
            revision=work.revision,
            source=self._source,
            seq=self._seq + 1,
            origin=work.source,
            frame=work.seq,
            model=self._contender.model,
            version=self._contender.version,
            role=self._role(work),
            ids=work.ids,
            rows=work.rows,
            error=scored.error,
            errors=scored.errors or None,
            late=late or None,
            done=done,
            queue_ms=queue_ms,
            compute_ms=compute_ms,
            columns=pack(scored.columns),
        )

    def _role(self, work: Work) -> str:
        """What we were for this frame: a policy changes roles without starting us anew."""
        return (work.contenders or {}).get(self._name, self._contender.role.value)

    def _on_probe(self, payload: bytes) -> None:
        """Answer that this contender is there; its samples were checked when it was loaded."""
        try:
            probe: ProbeFrame = self._probes.read(payload)
            self._stream.publish(probe.reply, encode(self._probe_reply(probe)))
        except PodiumError as error:
            log.error("probe: %s", error)

    def _probe_reply(self, probe: ProbeFrame) -> ScoresFrame:
        return ScoresFrame(
            endpoint=probe.endpoint,
            revision=probe.revision,
            source=self._source,
            seq=0,
            origin=probe.source,
            frame=probe.seq,
            model=self._contender.model,
            version=self._contender.version,
            role=self._contender.role.value,
            ids=_no_ids,
            done=time.time_ns() // 1000,
            queue_ms=0.0,
            compute_ms=0.0,
            columns={},
        )
