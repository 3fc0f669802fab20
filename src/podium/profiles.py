"""A column's distribution in a few counts: made of training examples, kept in a package, counted on live.

`Bins` says where values are counted, `Profile` is bins with counts. Counting is one vectorised pass; the
cells are whole numbers that are added, so they fit a board's counters as well as a manifest.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

NUMBER_BINS = 10
CATEGORIES = 50


class Bins(msgspec.Struct, frozen=True, kw_only=True):
    """Where a column's values are counted: the edges between bins of numbers, or known categories.

    A column has `edges` (ascending) or `categories`. Its cells are: missing, then one for each bin (value
    <= the first edge, …, value > the last) or each category, then, for categories, all others.
    """

    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] | None = None

    @classmethod
    def of(cls, values: np.ndarray) -> Bins:
        """For numbers and booleans edges at the deciles, for strings the most frequent `CATEGORIES`.

        A number column of few distinct values gets a bin for each.
        """
        raise NotImplementedError

    @property
    def cells(self) -> int:
        raise NotImplementedError

    def count(self, values: np.ndarray) -> np.ndarray:
        """How many values fall into each cell (int64). A tensor's values are counted one by one."""
        raise NotImplementedError


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Bins and the count of each cell; profiles of the same bins are added with `+`."""

    bins: Bins
    counts: tuple[int, ...]

    @classmethod
    def of(cls, values: np.ndarray) -> Profile:
        """The column's own bins and counts."""
        raise NotImplementedError

    @classmethod
    def live(cls, bins: Bins, counts: Sequence[int]) -> Profile:
        raise NotImplementedError

    def __add__(self, other: Profile) -> Profile:
        """Raises ValueError for other bins."""
        raise NotImplementedError

    @property
    def count(self) -> int:
        """All values, missing ones too."""
        return sum(self.counts)

    @property
    def missing(self) -> int:
        return self.counts[0]

    @property
    def others(self) -> int:
        """Values in no known category; 0 for numbers."""
        raise NotImplementedError

    @property
    def known(self) -> tuple[int, ...]:
        """The counts of the bins or categories, others last, missing left out."""
        return self.counts[1:]
