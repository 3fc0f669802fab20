"""Kept messages, decoded and checked: what the tables are made of.

Everything that could go wrong with a frame goes wrong here, one frame at a time, so that building
columns from a batch of them cannot.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec

from podium.archive import names
from podium.archive.columns import check, check_shape
from podium.errors import BadInput
from podium.protocol.frames import (
    AnswersFrame,
    DecoyFrame,
    Frame,
    InputFrame,
    KeptFrame,
    OutcomesFrame,
    Reader,
    ScoresFrame,
    SeenFrame,
    Tensor,
)
from podium.schema import Schema

F = TypeVar("F", bound=Frame)

INT_LIMIT = 2**63
TIME_LIMIT = 253_402_300_800_000_000
"""The year 10000 in µs: the last one that tables can hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Generic[F]):
    """A frame that fits its `table`, at its position in the stream.

    `source` and `seq` are those of the message; for a decoy's they are not those of `frame`, which
    is the input frame that it saw, at `seen` (µs). `total` is the number of rows of all requests. An
    entry of a `SeenFrame` has no rows until `podium.archive.sightings` finds the input frame. `large`
    are the columns whose data is elsewhere (`podium.archive.large`); they are not among the frame's.
    """

    table: str
    position: int
    source: str
    seq: int
    frame: F
    ids: Sequence[str]
    total: int
    seen: int = 0
    large: Mapping[str, Tensor] = field(default_factory=dict)


class Door:
    """Lets in the frames of one endpoint that fit its schemas."""

    def __init__(self, endpoint: str, inputs: Schema, outputs: Schema) -> None:
        self._endpoint = endpoint
        self._inputs = inputs
        self._outputs = outputs
        self._kept = Reader(KeptFrame)
        self._input = Reader(InputFrame)
        self._ids: msgspec.msgpack.Decoder[list[str]] = msgspec.msgpack.Decoder(list[str])

    def admit(self, position: int, payload: bytes) -> Entry[Any]:
        """Raises BadInput, saying why, for a message that is no frame or fits no table."""
        frame = self._kept.read(payload)
        _require(frame.endpoint == self._endpoint, f"it is of endpoint {frame.endpoint!r}")
        _require(0 <= frame.seq < INT_LIMIT and 0 <= frame.revision < INT_LIMIT, "its seq or revision")
        match frame:
            case InputFrame():
                return self._request(names.REQUESTS, position, frame, frame, seen=0)
            case DecoyFrame():
                _require(0 <= frame.done < TIME_LIMIT, "the time when it was seen")
                return self._request(
                    names.DECOY, position, frame, self._input.read(frame.input), seen=frame.done
                )
            case SeenFrame():
                return self._sighting(position, frame)
            case ScoresFrame():
                return self._score(position, frame)
            case AnswersFrame():
                return self._answer(position, frame)
            case OutcomesFrame():
                return self._outcome(position, frame)
        raise BadInput(f"a frame of kind {type(frame).__name__}")

    def _request(
        self, table: str, position: int, message: Frame, frame: InputFrame, *, seen: int
    ) -> Entry[InputFrame]:
        total = _rows(frame.ids, frame.rows)
        for each in (frame.arrived, frame.keys, frame.callers, frame.traces):
            _require(each is None or len(each) == len(frame.ids), "one value for each request")
        _require(all(0 <= time < TIME_LIMIT for time in frame.arrived), "a time of arrival")
        large = _large(self._inputs, frame, total) if frame.large else {}
        if large:
            here = {name: packed for name, packed in frame.columns.items() if name not in large}
            frame = msgspec.structs.replace(frame, columns=here)
        _check(self._inputs, frame.columns, total, elsewhere=large)
        return Entry(
            table=table,
            position=position,
            source=message.source,
            seq=message.seq,
            frame=frame,
            ids=frame.ids,
            total=total,
            seen=seen,
            large=large,
        )

    def _sighting(self, position: int, frame: SeenFrame) -> Entry[SeenFrame]:
        _require(0 <= frame.done < TIME_LIMIT, "the time when it was seen")
        _require(0 <= frame.frame < INT_LIMIT, "the seq of the frame that was seen")
        return Entry(
            table=names.DECOY,
            position=position,
            source=frame.source,
            seq=frame.seq,
            frame=frame,
            ids=(),
            total=0,
            seen=frame.done,
        )

    def _score(self, position: int, frame: ScoresFrame) -> Entry[ScoresFrame]:
        try:
            ids = self._ids.decode(frame.ids)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadInput(f"ids: {error}") from None
        total = _rows(ids, frame.rows)
        named = [*(frame.errors or ()), *(frame.late or ())]
        _require(all(0 <= index < len(ids) for index in named), "the index of a failed or late request")
        _require(0 <= frame.done < TIME_LIMIT, "the time when it was done")
        failed = frame.error is not None or len(frame.errors or ()) == len(ids)
        _check(self._outputs, frame.columns, total, partial=failed)
        return Entry(
            table=names.SCORES,
            position=position,
            source=frame.source,
            seq=frame.seq,
            frame=frame,
            ids=ids,
            total=total,
        )

    def _answer(self, position: int, frame: AnswersFrame) -> Entry[AnswersFrame]:
        total = _rows(frame.ids, frame.rows)
        _require(len(frame.rules) == len(frame.total_ms) == len(frame.ids), "one value for each request")
        _require(0 <= frame.done < TIME_LIMIT, "the time when it was done")
        _check(self._outputs, frame.columns, total)
        return Entry(
            table=names.ANSWERS,
            position=position,
            source=frame.source,
            seq=frame.seq,
            frame=frame,
            ids=frame.ids,
            total=total,
        )

    def _outcome(self, position: int, frame: OutcomesFrame) -> Entry[OutcomesFrame]:
        total = _rows(frame.ids, None)
        _require(len(frame.observed) == total, "one value for each outcome")
        numbers = frame.numbers or [0] * total
        _require(len(numbers) == total, "one number for each outcome")
        _require(all(0 <= number < INT_LIMIT for number in numbers), "the number of a row")
        _require(all(0 <= time < TIME_LIMIT for time in (frame.done, *frame.observed)), "a time")
        _require(any(field.name in frame.columns for field in self._outputs.fields), "none of the outputs")
        _check(self._outputs, frame.columns, total, partial=True)
        return Entry(
            table=names.OUTCOMES,
            position=position,
            source=frame.source,
            seq=frame.seq,
            frame=frame,
            ids=frame.ids,
            total=total,
        )


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise BadInput(f"a frame that is wrong: {what}")


def _rows(ids: Sequence[str], rows: list[int] | None) -> int:
    """How many rows the requests have together."""
    _require(len(ids) > 0, "a frame without requests")
    if rows is None:
        return len(ids)
    _require(len(rows) == len(ids) and min(rows) >= 1, "the rows of each request")
    return sum(rows)


def _large(schema: Schema, frame: InputFrame, rows: int) -> dict[str, Tensor]:
    """The columns that a frame says are elsewhere."""
    found = {name: packed for name, packed in frame.columns.items() if name in (frame.large or ())}
    for wanted in schema.fields:
        if wanted.name in found:
            check_shape(wanted, found[wanted.name], rows)
    return found


def _check(
    schema: Schema,
    columns: dict[str, Tensor],
    rows: int,
    *,
    partial: bool = False,
    elsewhere: Collection[str] = (),
) -> None:
    """A field that is not there is fine if it is optional, elsewhere, or if any may be left out."""
    for wanted in schema.fields:
        packed = columns.get(wanted.name)
        if packed is not None:
            check(wanted, packed, rows)
        elif not (wanted.optional or partial or wanted.name in elsewhere):
            raise BadInput(f"{wanted.name!r} is missing, expected {wanted}")
