"""Input frames that are out, and whose scores are still awaited."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np

from podium.errors import BadInput
from podium.gateway.lineup import Lineup
from podium.gateway.requests import Group, Request
from podium.protocol.frames import Reference, ScoresFrame, Tensor, array, row_slices
from podium.records import Contender
from podium.schema import Field, Kind, Schema, same_shape

LARGE_ROWS = 64


class Scores:
    """One contender's scores for one flight: the endpoint's outputs, as arrays and, if wanted, as lists."""

    __slots__ = ("_lists", "arrays", "frame")

    def __init__(self, frame: ScoresFrame, arrays: dict[str, np.ndarray]) -> None:
        self.frame = frame
        self.arrays = arrays
        self._lists: dict[str, list[Any]] | None = None

    @classmethod
    def of(cls, frame: ScoresFrame, outputs: Schema, rows: int) -> Scores:
        """Raises BadInput unless there are so many rows of each output, or an error instead.

        Podium's own workers have checked that; a worker in another language may not have. What a
        model gives beyond the endpoint's outputs is archived, and not returned.
        """
        if frame.error is not None:
            return cls(frame, {})
        return cls(frame, {field.name: _output(frame, field, rows) for field in outputs.fields})

    @property
    def columns(self) -> dict[str, Tensor]:
        """The outputs as they were packed."""
        return {name: self.frame.columns[name] for name in self.arrays}

    @property
    def whole(self) -> bool:
        """Whether there is a score for every request."""
        return self.frame.error is None and not self.frame.errors

    def ok(self, group: Group) -> bool:
        """Whether there is a score for this group, all of whose requests fare alike."""
        return self.frame.error is None and group.places[0] not in self.failed

    @property
    def failed(self) -> Collection[int]:
        """The places of the requests that this contender could not score, if not all of them."""
        return self.frame.errors or ()

    @property
    def lists(self) -> dict[str, list[Any]]:
        if self._lists is None:
            self._lists = {name: values.tolist() for name, values in self.arrays.items()}
        return self._lists


class Flight:
    """One input frame's requests, the line-up that they went to, and what was scored.

    `began` and `expires` are on the monotonic clock, in seconds; `undecided` counts requests.
    `large` are the objects that it refers to.
    """

    __slots__ = (
        "awaited",
        "began",
        "expires",
        "groups",
        "large",
        "line",
        "requests",
        "rows",
        "scores",
        "seq",
        "slices",
        "undecided",
    )

    def __init__(
        self,
        seq: int,
        requests: Sequence[Request],
        rows: list[int] | None,
        groups: list[Group],
        line: Lineup,
        *,
        began: float,
        expires: float,
    ) -> None:
        self.seq = seq
        self.requests = requests
        self.groups = groups
        self.line = line
        self.awaited = set(line.scoring)
        self.began = began
        self.expires = expires
        self.rows = rows
        self.slices = row_slices(len(requests), self.rows)
        self.scores: dict[Contender, Scores] = {}
        self.undecided = len(requests)
        self.large: Collection[Reference] = ()

    @property
    def count(self) -> int:
        """The rows of all its requests."""
        return len(self.requests) if self.rows is None else sum(self.rows)

    @property
    def is_one_large(self) -> bool:
        """One request of many rows: its columns need not become Python values to be returned."""
        return self.rows is not None and len(self.rows) == 1 and self.rows[0] >= LARGE_ROWS

    def land(self, contender: Contender, scores: Scores) -> None:
        """A contender's scores are here."""
        self.awaited.discard(contender)
        self.scores[contender] = scores

    def part(self, places: Collection[int]) -> list[Group]:
        """Requests without a score part from those with one; returns the groups that are new."""
        old = [group for group in self.groups if not group.mailbox.decided]
        new = [part for group in old for part in group.parted(places) if part.requests]
        self.groups = [group for group in self.groups if group.mailbox.decided] + new
        return new


class Flights:
    """All frames that are out, by their seq, the oldest first."""

    def __init__(self) -> None:
        self._out: dict[int, Flight] = {}

    def add(self, flight: Flight) -> None:
        self._out[flight.seq] = flight

    def get(self, seq: int) -> Flight | None:
        return self._out.get(seq)

    def close(self, flight: Flight) -> None:
        """Nothing more is awaited."""
        self._out.pop(flight.seq, None)

    def expired(self, now: float) -> Iterator[Flight]:
        """Take out the frames that somebody has not scored in all that time."""
        for flight in list(self._out.values()):
            if flight.expires <= now:
                self.close(flight)
                yield flight


# --- what contenders say --------------------------------------------------------------------

_KINDS = {Kind.FLOAT: "fi", Kind.INT: "i", Kind.BOOL: "b", Kind.STRING: "O"}


def _output(frame: ScoresFrame, field: Field, rows: int) -> np.ndarray:
    packed = frame.columns.get(field.name)
    if packed is None:
        raise BadInput(f"the scores have no {field.name!r}")
    values = array(packed)
    if values.shape[:1] != (rows,):
        raise BadInput(f"the scores' {field.name!r} has shape {list(values.shape)}, expected {rows} rows")
    if values.dtype.kind not in _KINDS[field.type] or not same_shape(field.shape, values.shape[1:]):
        raise BadInput(f"the scores' {field.name!r} is {packed.dtype}{list(values.shape)}, expected {field}")
    return values
