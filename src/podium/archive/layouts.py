"""The tables of an endpoint: their columns, and how a batch of entries becomes their rows."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import chain
from typing import Any, ClassVar

import numpy as np
from arro3.core import Array, DataType, RecordBatch
from arro3.core import Field as ArrowField
from arro3.core import Schema as ArrowSchema

from podium.archive import columns, names
from podium.archive.columns import BOOL, DATE, FLOAT, INT, STRING, TIME
from podium.archive.entries import Entry
from podium.protocol.frames import AnswersFrame, InputFrame, OutcomesFrame, ScoresFrame
from podium.schema import Schema

DAY = "day"
"""The column that partitions every table: the UTC day of processing."""

DIGESTS = "digests"
"""The column with the SHA-256 of each input that was too large for a message."""

STATUSES = ("ok", "late", "error")
OK, LATE, ERROR = range(3)


class Span:
    """Which rows belong to which request, and which requests to which frame, of one batch."""

    def __init__(self, entries: Sequence[Entry[Any]]) -> None:
        self.requests = np.array([len(entry.ids) for entry in entries], np.int64)
        self.rows = np.array([entry.total for entry in entries], np.int64)
        self.count = int(self.rows.sum())
        self._each: np.ndarray | None = None
        if any(entry.frame.rows is not None for entry in entries):
            each = (entry.frame.rows or [1] * len(entry.ids) for entry in entries)
            self._each = np.fromiter(chain.from_iterable(each), np.int64)

    def of_frames(self, values: Array) -> Array:
        """One value for each frame, brought to rows."""
        return columns.repeated(values, self.rows)

    def of_requests(self, values: Array) -> Array:
        """One value for each request, brought to rows."""
        return values if self._each is None else columns.repeated(values, self._each)

    def mask(self, requests: np.ndarray) -> np.ndarray:
        """One boolean for each request, brought to rows."""
        return requests if self._each is None else np.repeat(requests, self._each)

    def numbers(self) -> Array:
        """Each row's number within its request, from 0."""
        if self._each is None:
            return columns.integers(np.zeros(self.count))
        starts = np.repeat(np.cumsum(self._each) - self._each, self._each)
        return columns.integers(np.arange(self.count) - starts)


class Layout(ABC):
    """One table: its name, its columns in order, and its rows from a batch of entries.

    `fields` are of the endpoint's inputs or outputs, and appear as `in_NAME`, `out_NAME` or `true_NAME`.
    """

    name: ClassVar[str]
    prefix: ClassVar[str]
    before: ClassVar[tuple[tuple[str, DataType], ...]]
    after: ClassVar[tuple[tuple[str, DataType], ...]]

    def __init__(self, schema: Schema) -> None:
        self.fields = schema.fields

    @property
    def schema(self) -> ArrowSchema:
        values = [(f"{self.prefix}{field.name}", columns.arrow_type(field)) for field in self.fields]
        return ArrowSchema(
            [ArrowField(name, kind, nullable=True) for name, kind in (*self.before, *values, *self.after)]
        )

    def batch(self, entries: Sequence[Entry[Any]], day: date) -> RecordBatch:
        """The rows of these entries, in the order of `schema`."""
        return RecordBatch.from_arrays(list(self.arrays(entries, Span(entries), day)), schema=self.schema)

    @abstractmethod
    def arrays(self, entries: Sequence[Any], span: Span, day: date) -> Iterator[Array]:
        """The columns, in order."""

    def values(self, entries: Sequence[Any], span: Span, failed: np.ndarray | None = None) -> Iterator[Array]:
        """The columns of the fields; `failed` marks the rows that have no values."""
        none = np.zeros(span.count, bool)
        for field in self.fields:
            tensors = [entry.frame.columns.get(field.name) for entry in entries]
            yield columns.joined(field, tensors, span.rows, none if failed is None else failed)


class Requests(Layout):
    """What came in. `key` is null where the caller gave none: the id stands for it."""

    name = names.REQUESTS
    prefix = "in_"
    before = (
        ("id", STRING),
        ("received", TIME),
        (DAY, DATE),
        ("caller", STRING),
        ("key", STRING),
        ("row", INT),
    )
    after = (("trace", STRING), (DIGESTS, STRING))

    def arrays(self, entries: Sequence[Entry[InputFrame]], span: Span, day: date) -> Iterator[Array]:
        frames = [entry.frame for entry in entries]
        yield _ids(entries, span)
        yield span.of_requests(columns.times(_flat(frame.arrived for frame in frames)))
        yield columns.days(day, span.count)
        yield span.of_requests(columns.strings(_flat(f.callers or [None] * len(f.ids) for f in frames)))
        yield span.of_requests(columns.strings(_flat(f.keys or [None] * len(f.ids) for f in frames)))
        yield span.numbers()
        yield from self.values(entries, span)
        yield span.of_requests(columns.strings(_flat(f.traces or [None] * len(f.ids) for f in frames)))
        yield _digests(frames, span)


class Decoy(Layout):
    """What a model sees, as it reached the decoy."""

    name = names.DECOY
    prefix = "in_"
    before = (("id", STRING), ("row", INT), (DAY, DATE), ("seen", TIME))
    after = ((DIGESTS, STRING),)

    def arrays(self, entries: Sequence[Entry[InputFrame]], span: Span, day: date) -> Iterator[Array]:
        yield _ids(entries, span)
        yield span.numbers()
        yield columns.days(day, span.count)
        yield span.of_frames(columns.times([entry.seen for entry in entries]))
        yield from self.values(entries, span)
        yield _digests([entry.frame for entry in entries], span)


class Scores(Layout):
    """What each contender said, also late, and also that it failed."""

    name = names.SCORES
    prefix = "out_"
    before = (
        ("id", STRING),
        ("row", INT),
        (DAY, DATE),
        ("model", STRING),
        ("version", STRING),
        ("role", STRING),
        ("status", STRING),
        ("error", STRING),
        ("queue_ms", FLOAT),
        ("compute_ms", FLOAT),
        ("replayed", BOOL),
    )
    after = (("scored", TIME),)
    replayed: ClassVar[bool] = False

    def arrays(self, entries: Sequence[Entry[ScoresFrame]], span: Span, day: date) -> Iterator[Array]:
        frames = [entry.frame for entry in entries]
        statuses, errors = _statuses(entries, span)
        yield _ids(entries, span)
        yield span.numbers()
        yield columns.days(day, span.count)
        yield span.of_frames(columns.strings([frame.model for frame in frames]))
        yield span.of_frames(columns.strings([frame.version for frame in frames]))
        yield span.of_frames(columns.strings([frame.role for frame in frames]))
        yield span.of_requests(columns.strings(STATUSES).take(columns.integers(statuses)))
        yield span.of_requests(errors)
        yield span.of_frames(columns.floats([frame.queue_ms for frame in frames]))
        yield span.of_frames(columns.floats([frame.compute_ms for frame in frames]))
        yield columns.same(self.replayed, span.count)
        yield from self.values(entries, span, failed=span.mask(statuses == ERROR))
        yield span.of_frames(columns.times([frame.done for frame in frames]))


class ReplayedScores(Scores):
    """The same table's rows of a version that was not there when the requests came."""

    replayed = True


class Answers(Layout):
    """What was returned. A default answer is nobody's: its model and version are null."""

    name = names.ANSWERS
    prefix = "out_"
    before = (
        ("id", STRING),
        ("row", INT),
        (DAY, DATE),
        ("model", STRING),
        ("version", STRING),
        ("rule", STRING),
        ("revision", INT),
        ("total_ms", FLOAT),
    )
    after = (("answered", TIME),)

    def arrays(self, entries: Sequence[Entry[AnswersFrame]], span: Span, day: date) -> Iterator[Array]:
        frames = [entry.frame for entry in entries]
        yield _ids(entries, span)
        yield span.numbers()
        yield columns.days(day, span.count)
        yield span.of_frames(columns.strings([frame.model or None for frame in frames]))
        yield span.of_frames(columns.strings([frame.version or None for frame in frames]))
        yield span.of_requests(columns.strings(_flat(frame.rules for frame in frames)))
        yield span.of_frames(columns.integers([frame.revision for frame in frames]))
        yield span.of_requests(columns.floats(_flat(frame.total_ms for frame in frames)))
        yield from self.values(entries, span)
        yield span.of_frames(columns.times([frame.done for frame in frames]))


class Outcomes(Layout):
    """What really happened. A second outcome of a row corrects the first: `received` tells which is newer."""

    name = names.OUTCOMES
    prefix = "true_"
    before = (("id", STRING), ("row", INT), (DAY, DATE), ("observed", TIME))
    after = (("received", TIME),)

    def arrays(self, entries: Sequence[Entry[OutcomesFrame]], span: Span, day: date) -> Iterator[Array]:
        frames = [entry.frame for entry in entries]
        yield _ids(entries, span)
        yield columns.integers(_flat(frame.numbers or [0] * len(frame.ids) for frame in frames))
        yield columns.days(day, span.count)
        yield columns.times(_flat(frame.observed for frame in frames))
        yield from self.values(entries, span)
        yield span.of_frames(columns.times([frame.done for frame in frames]))


def _ids(entries: Sequence[Entry[Any]], span: Span) -> Array:
    return span.of_requests(columns.strings(_flat(entry.ids for entry in entries)))


def _digests(frames: Sequence[InputFrame], span: Span) -> Array:
    """Of the inputs that were too large for a message, as JSON; null where none was."""
    return span.of_frames(columns.strings([_digests_of(frame) for frame in frames]))


def _digests_of(frame: InputFrame) -> str | None:
    if not frame.large:
        return None
    return json.dumps({name: each.digest.hex() for name, each in sorted(frame.large.items())})


def _flat(lists: Iterable[Iterable[Any]]) -> list[Any]:
    return list(chain.from_iterable(lists))


def _statuses(entries: Sequence[Entry[ScoresFrame]], span: Span) -> tuple[np.ndarray, Array]:
    """Each request's status, and what happened to those that failed."""
    statuses = np.full(int(span.requests.sum()), OK)
    codes = np.zeros(len(statuses), np.int64)
    messages: list[str | None] = [None]
    starts = np.cumsum(span.requests) - span.requests
    for start, entry in zip(starts.tolist(), entries, strict=True):
        frame = entry.frame
        if frame.late:
            statuses[start + np.array(frame.late)] = LATE
        for index, message in (frame.errors or {}).items():
            statuses[start + index], codes[start + index] = ERROR, len(messages)
            messages.append(message)
        if frame.error is not None:
            whole = slice(start, start + len(entry.ids))
            statuses[whole], codes[whole] = ERROR, len(messages)
            messages.append(frame.error)
    return statuses, columns.strings(messages).take(columns.integers(codes))
