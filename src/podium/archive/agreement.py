"""Same request, same package: the same score, live and replayed, or which rows not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from podium.archive.arrays import Values, equal, taken
from podium.models.manifest import Tolerance

SHOWN = 5
EXACT = Tolerance(relative=0.0, absolute=0.0)

Place = tuple[str, int]
"""A request's id, and the number of one of its rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Outputs of many rows, each with its place."""

    places: list[Place]
    values: Mapping[str, Values]

    def row(self, index: int) -> dict[str, Any]:
        part = slice(index, index + 1)
        return {name: values.part(part).tolist()[0] for name, values in self.values.items()}


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A row for which a version has two scores that are not the same."""

    id: str
    row: int
    live: dict[str, Any]
    replayed: dict[str, Any]


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that a version scored live and in a replay.

    `near` are those that are not equal, but within the tolerance that the package states; what is
    neither is different, and `first` shows the first of those.
    """

    rows: int = 0
    equal: int = 0
    near: int = 0
    first: tuple[Difference, ...] = ()

    @property
    def different(self) -> int:
        return self.rows - self.equal - self.near

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(
            rows=self.rows + other.rows,
            equal=self.equal + other.equal,
            near=self.near + other.near,
            first=(*self.first, *other.first)[:SHOWN],
        )


def agreement(live: Placed, replayed: Placed, within: Tolerance) -> Agreement:
    """Compare the rows that both have."""
    index = {place: number for number, place in enumerate(replayed.places)}
    pairs = [(a, index[place]) for a, place in enumerate(live.places) if place in index]
    if not pairs:
        return Agreement()
    ours, theirs = (np.array(side) for side in zip(*pairs, strict=True))
    exact, near = (_same(live, ours, replayed, theirs, tolerance) for tolerance in (EXACT, within))
    different = np.flatnonzero(~(exact | near))[:SHOWN]
    return Agreement(
        rows=len(pairs),
        equal=int(exact.sum()),
        near=int((near & ~exact).sum()),
        first=tuple(_difference(live, ours[n], replayed, theirs[n]) for n in different.tolist()),
    )


def _same(live: Placed, a: np.ndarray, replayed: Placed, b: np.ndarray, within: Tolerance) -> np.ndarray:
    columns = [
        equal(taken(replayed.values[name], b), taken(values, a), within)
        for name, values in live.values.items()
    ]
    found: np.ndarray = np.all(columns, axis=0)
    return found


def _difference(live: Placed, a: int, replayed: Placed, b: int) -> Difference:
    id, row = live.places[a]
    return Difference(id=id, row=row, live=live.row(a), replayed=replayed.row(b))
