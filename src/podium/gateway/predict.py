"""The request path: from checked rows to an answer.

It reads from top to bottom: a request is taken in, travels in an input frame to every contender, the
scores meet in its mailbox, the schedule decides, the answer is kept and returned.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import msgspec
import numpy as np

from podium.counters import Board
from podium.errors import BadInput, NobodyInTime, PodiumError, Stopping, StreamAway, TooManyRequests
from podium.gateway.alarms import Alarms
from podium.gateway.flights import Flight, Flights, Scores
from podium.gateway.large import LargeInputs
from podium.gateway.lineup import Lineup
from podium.gateway.outgoing import FrameBuilder, row_counts
from podium.gateway.requests import Group, IdSource, Request, groups_of
from podium.gateway.tally import Tally
from podium.protocol.frames import (
    AnswersFrame,
    InputFrame,
    Reader,
    Reference,
    ScoresFrame,
    Tensor,
    encode,
    tensor,
)
from podium.records import DEFAULT_RULE, Answer, Contender, Policy
from podium.rendezvous.schedule import Accept, Decision, Default, Wait
from podium.run import Run
from podium.streams.base import Stream
from podium.trials.agreement import agreed
from podium.validation import Rows

log = logging.getLogger(__name__)

SWEEP_SECONDS = 0.25
HOLD_SECONDS = 0.002


class Predictor:
    """Answers one endpoint's requests by rendezvous. `async with` starts it.

    `tasks` go on until it is left; one that ends before has failed, and nothing is answered any more.
    """

    def __init__(self, run: Run, stream: Stream, board: Board, large: LargeInputs) -> None:
        self.stopping = False
        self._run = run
        self._line = Lineup(run.policy)
        self._stream = stream
        self._large = large
        self._uploads: set[asyncio.Task[None]] = set()
        self.tally = Tally(board)
        self._source = f"gateway-{secrets.token_hex(8)}"
        self._address = f"scores.{self._source}"
        self._builder = FrameBuilder(
            run.inputs,
            run.outputs,
            source=self._source,
            reply=self._address,
            patience=run.patience,
            limit=stream.limit,
            threshold=run.large.threshold,
        )
        self._outputs = {field.name: field.dtype for field in run.outputs.fields}
        self._scores_reader = Reader(ScoresFrame)
        self._ids = IdSource()
        self._waiting: list[Request] = []
        self._filled = asyncio.Event()
        self._flights = Flights()
        self._undecided = 0
        self._landed = asyncio.Event()
        self._alarms = Alarms()
        self._seq = 0
        self._in_flight = 0
        self._idle = asyncio.Event()

    # --- the policy -------------------------------------------------------------------------

    @property
    def policy(self) -> Policy:
        return self._line.policy

    def follow(self, policy: Policy) -> None:
        """Use this revision, if it is newer, for all frames that leave from now on."""
        if policy.revision <= self.policy.revision:
            return
        self._line = Lineup(policy)
        self.tally.follow(policy)
        log.info("revision %d: %s", policy.revision, policy.reason)

    # --- in ---------------------------------------------------------------------------------

    async def answer(
        self,
        rows: Rows,
        began: float,
        *,
        id: str | None = None,
        deadline: float | None = None,
        force: str | None = None,
        key: str | None = None,
        caller: str | None = None,
        trace: str | None = None,
    ) -> Answer:
        """The rendezvous' answer to these rows.

        `began` is when the request arrived (monotonic, s); `deadline` (ms) can only shorten the
        endpoint's. Raises NobodyInTime where nobody answers and the endpoint has no default,
        TooManyRequests, Stopping, StreamAway, StoreFull, TooLarge, NotFound for a forced contender that
        is not.
        """
        forced = self.policy.named(force) if force else None
        self._let_in()
        future: asyncio.Future[Answer] = self._loop.create_future()
        request = Request(
            rows,
            future,
            began,
            id=id or self._ids.next(),
            deadline=deadline,
            forced=forced,
            key=key,
            caller=caller,
            trace=trace,
        )
        if not self._waiting:
            self._filled.set()
        self._waiting.append(request)
        self._in_flight += 1
        try:
            return await future
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    def why_not_ready(self) -> str | None:
        """What stands in the way of answering; None if nothing does."""
        if self.stopping:
            return "this gateway is stopping"
        return None if self._stream.connected else "the message stream is away"

    def _let_in(self) -> None:
        if self.stopping:
            raise Stopping("this gateway is stopping; send the request again")
        if not self._stream.connected:
            raise StreamAway("the message stream is away; try again in a moment")
        if self._in_flight >= self._run.limits.in_flight:
            raise TooManyRequests(f"{self._in_flight} requests are in flight, which is the limit")

    # --- out to every contender -------------------------------------------------------------

    async def _send_frames(self) -> None:
        """Whatever has arrived leaves in one frame: at once when none is out, else when one is back.

        So a lone request never waits, and under load frames grow instead of queues; after
        HOLD_SECONDS a frame leaves in any case.
        """
        while True:
            await self._filled.wait()
            if self._undecided:
                await self._hold()
            await self._gather()
            self._filled.clear()
            requests, self._waiting = self._waiting, []
            self._depart(requests)

    def _depart(self, requests: Sequence[Request]) -> None:
        for load in self._builder.loads(requests):
            if self._builder.is_large(load):
                self._start_upload(load[0])
            else:
                self._send_frame(load, self._builder.columns(load))

    def _left(self, request: Request) -> float:
        """Seconds until it must be answered."""
        own, whole = request.deadline, self.policy.deadline_ms
        return request.began + (whole if own is None else min(own, whole)) / 1000 - time.monotonic()

    async def _gather(self) -> None:
        """As long as each turn of the event loop brings more requests, one more turn."""
        found = 0
        while found < len(self._waiting):
            found = len(self._waiting)
            await asyncio.sleep(0)

    async def _hold(self) -> None:
        self._landed.clear()
        timer = self._loop.call_later(HOLD_SECONDS, self._landed.set)
        await self._landed.wait()
        timer.cancel()

    def _start_upload(self, request: Request) -> None:
        """Beside everything else: small requests do not wait for large ones."""
        task = asyncio.create_task(self._upload(request), name="gateway upload")
        self._uploads.add(task)
        task.add_done_callback(self._uploads.discard)

    async def _upload(self, request: Request) -> None:
        """First the data into the store, then the frame that refers to it."""
        try:
            packed = await asyncio.to_thread(self._builder.columns, [request])
            columns, large = await self._large.put(packed, self._left(request))
        except PodiumError as error:
            request.fail(error)
        except Exception as error:
            log.exception("a large input cannot be sent")
            request.fail(error)
        else:
            self._send_frame([request], columns, large)

    def _send_frame(
        self, load: Sequence[Request], columns: dict[str, Tensor], large: dict[str, Reference] | None = None
    ) -> None:
        frame = self._builder.frame(load, seq=self._next_seq(), line=self._line, columns=columns, large=large)
        flight = self._take_off(load, frame)  # first: scores may be back before `publish` is
        try:
            self._stream.publish("input", encode(frame))
        except PodiumError as error:
            self._crash(flight, error)
        else:
            self.tally.received(len(load))

    def _take_off(self, load: Sequence[Request], frame: InputFrame) -> Flight:
        now = time.monotonic()
        expires = now + (frame.expires - frame.sent) / 1e6
        groups = groups_of(load, self._line)
        flight = Flight(frame.seq, load, frame.rows, groups, self._line, began=now, expires=expires)
        if frame.large:
            flight.large = frame.large.values()
        self._flights.add(flight)
        self._undecided += 1
        for group in groups:
            self._alarms.set(group.deadline, flight, group)
        return flight

    def _crash(self, flight: Flight, error: PodiumError) -> None:
        """The frame never left: nobody will score it, and nothing of it is kept."""
        self._close(flight)
        self._undecided -= 1
        flight.groups = []
        for request in flight.requests:
            request.fail(error)

    def _close(self, flight: Flight) -> None:
        """Nothing more is awaited."""
        self._flights.close(flight)
        if flight.large:
            self._large.forget(flight.large)

    def _next_seq(self) -> int:
        """A number for a message; nothing may be awaited between taking it and publishing."""
        self._seq += 1
        return self._seq

    # --- back from a contender --------------------------------------------------------------

    def _on_scores(self, payload: bytes) -> None:
        try:
            frame: ScoresFrame = self._scores_reader.read(payload)
        except PodiumError as error:
            log.error("scores: %s", error)
            return
        flight = self._flights.get(frame.frame)
        if flight is None or frame.origin != self._source:
            return
        contender = flight.line.contender(frame.model, frame.version)
        if contender is None or contender not in flight.awaited:
            return
        scores = self._checked(frame, flight, contender)
        now = time.monotonic()
        flight.land(contender, scores)
        self.tally.scored(contender, (now - flight.began) * 1000, len(flight.requests))
        self._post(flight, contender, scores, now)
        self._compare(flight, contender)
        if not flight.awaited:
            self._close(flight)

    def _checked(self, frame: ScoresFrame, flight: Flight, contender: Contender) -> Scores:
        try:
            return Scores.of(frame, self._run.outputs, flight.count)
        except BadInput as error:
            log.error("scores of %s: %s", contender.name, error)
            return Scores(self._record_error(flight, contender, str(error)), {})

    def _post(self, flight: Flight, contender: Contender, scores: Scores, now: float) -> None:
        if scores.failed:
            for group in flight.part(scores.failed):
                self._alarms.set(group.deadline, flight, group)
        for group in flight.groups:
            decision = group.mailbox.post(contender, scores.ok(group), group.waited(now))
            if decision is not None:
                self._settle(flight, group, decision)

    def _compare(self, flight: Flight, newcomer: Contender) -> None:
        """Count how often each contender agrees with the champion, as their scores come in."""
        reference = flight.line.champion
        champion = flight.scores.get(reference)
        if champion is None or not champion.whole:
            return
        others = flight.scores if newcomer is reference else {newcomer: flight.scores[newcomer]}
        for contender, scores in others.items():
            if contender is not reference and scores.whole:
                same = agreed(champion.arrays, scores.arrays, self._run.agreement)
                self.tally.compared(contender, flight.count, same)

    # --- decided ----------------------------------------------------------------------------

    def _settle(self, flight: Flight, group: Group, decision: Decision) -> None:
        """Carry out a decision: keep the answers, then return them; or look again later."""
        match decision:
            case Accept(contender, rule):
                scores = flight.scores[contender]
                columns = scores.arrays if flight.is_one_large else scores.lists
                answers = _answers(flight, group, columns, contender, rule)
                self._keep(flight, group, answers, _chosen_columns(scores, flight, group))
                self.tally.answered(contender, [answer.ms for answer in answers])
            case Default():
                default = flight.line.policy.default or {}
                lists = {name: [value] * flight.count for name, value in default.items()}
                answers = _answers(flight, group, lists, None, DEFAULT_RULE)
                self._keep(flight, group, answers, self._default_columns(default, group))
                self.tally.defaulted([answer.ms for answer in answers])
            case Wait(until):
                self._alarms.set(group.began + until / 1000, flight, group)

    def _default_columns(self, default: Mapping[str, Any], group: Group) -> dict[str, Tensor]:
        rows = sum(request.rows.count for request in group.requests)
        columns = {}
        for name, value in default.items():
            one = np.asarray(value, self._outputs[name])
            columns[name] = tensor(np.broadcast_to(one, (rows, *one.shape)))
        return columns

    def _keep(
        self, flight: Flight, group: Group, answers: Sequence[Answer], columns: dict[str, Tensor]
    ) -> None:
        """Hand the answers to the stream first, so that an answer that went out is archived."""
        flight.undecided -= len(answers)
        if not flight.undecided:
            self._undecided -= 1
            self._landed.set()
        policy = flight.line.policy
        frame = AnswersFrame(
            endpoint=policy.endpoint,
            revision=policy.revision,
            source=self._source,
            seq=self._next_seq(),
            model=answers[0].model,
            version=answers[0].version,
            ids=[answer.id for answer in answers],
            rows=flight.rows if len(answers) == len(flight.requests) else row_counts(group.requests),
            rules=[answer.rule for answer in answers],
            total_ms=[answer.ms for answer in answers],
            done=time.time_ns() // 1000,
            columns=columns,
        )
        try:
            self._stream.publish("answers", encode(frame))
        except PodiumError as error:  # what cannot be kept is not returned
            for request in group.requests:
                request.fail(error)
            return
        self._return(group, answers, policy)

    def _return(self, group: Group, answers: Sequence[Answer], policy: Policy) -> None:
        if answers[0].rule == DEFAULT_RULE and policy.default is None:
            waited = f"no contender answered within {group.mailbox.deadline:g} ms"
            error = NobodyInTime(f"{waited}, and {policy.endpoint!r} has no default answer")
            for request in group.requests:
                request.fail(error)
            return
        for request, answer in zip(group.requests, answers, strict=True):
            request.succeed(answer)

    # --- as time passes ---------------------------------------------------------------------

    async def _watch_alarms(self) -> None:
        while True:
            for flight, group in await self._alarms.due():
                waited = group.waited(time.monotonic())
                decision = group.mailbox.look(waited) if group in flight.groups else None
                if decision is not None:
                    self._settle(flight, group, decision)

    async def _sweep(self) -> None:
        """Record an error for each contender that gave no score in all its time: it crashed or hangs."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.tally.in_flight(self._in_flight)
            for flight in self._flights.expired(time.monotonic()):
                self._large.forget(flight.large)
                waited = time.monotonic() - flight.began
                error = f"no score within {waited:.1f} s: the worker crashed or hangs"
                for contender in flight.awaited:
                    self._record_error(flight, contender, error)

    def _record_error(self, flight: Flight, contender: Contender, error: str) -> ScoresFrame:
        """Keep an error in the name of a contender that has not said so itself."""
        frame = ScoresFrame(
            endpoint=flight.line.policy.endpoint,
            revision=flight.line.policy.revision,
            source=self._source,
            seq=self._next_seq(),
            origin=self._source,
            frame=flight.seq,
            model=contender.model,
            version=contender.version,
            role=contender.role.value,
            ids=msgspec.Raw(msgspec.msgpack.encode([request.id for request in flight.requests])),
            rows=flight.rows,
            error=error,
            done=time.time_ns() // 1000,
            queue_ms=(time.monotonic() - flight.began) * 1000,
            compute_ms=0.0,
            columns={},
        )
        self._stream.publish("scores.missing", encode(frame))
        self.tally.missing(contender, len(flight.requests))
        return frame

    # --- start and stop ---------------------------------------------------------------------

    async def __aenter__(self) -> Predictor:
        self._loop = asyncio.get_running_loop()
        self.tally.follow(self.policy)
        await self._stream.subscribe(self._address, self._on_scores)
        jobs = {"sender": self._send_frames(), "alarms": self._watch_alarms(), "sweeper": self._sweep()}
        self.tasks = [asyncio.create_task(job, name=f"gateway {name}") for name, job in jobs.items()]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = (*self.tasks, *self._uploads)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def drain(self, seconds: float) -> None:
        """Take nothing new, answer what is in flight, at most for so long."""
        self.stopping = True
        if self._in_flight:
            self._idle.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._idle.wait()
            except TimeoutError:
                log.warning("stopped with %d requests unanswered", self._in_flight)


def _answers(
    flight: Flight,
    group: Group,
    columns: Mapping[str, Sequence[Any] | np.ndarray],
    by: Contender | None,
    rule: str,
) -> list[Answer]:
    """The group's answers now, all from one contender's columns (None: the default's)."""
    now = time.monotonic()
    model, version = (by.model, by.version) if by else ("", "")
    slices = flight.slices
    return [
        Answer(r.id, columns, slices[place], model, version, rule, round((now - r.began) * 1000, 3))
        for r, place in zip(group.requests, group.places, strict=True)
    ]


def _chosen_columns(scores: Scores, flight: Flight, group: Group) -> dict[str, Tensor]:
    """The outputs of these requests only; the frame's own bytes where that is all of them."""
    if len(group.requests) == len(flight.requests):
        return scores.columns
    rows = np.concatenate([np.arange(flight.slices[p].start, flight.slices[p].stop) for p in group.places])
    return {name: tensor(values[rows]) for name, values in scores.arrays.items()}
