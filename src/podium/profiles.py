"""A column's distribution in a few counts: made of training examples, kept in a package, counted on live.

`Bins` says where values are counted, `Profile` is bins with counts. Counting is one vectorised pass; the
cells are whole numbers that are added, so they fit a board's counters as well as a manifest.
"""

from __future__ import annotations

from collections import Counter

import msgspec
import numpy as np

NUMBER_BINS = 10
ROWS_OF_A_BIN = 5
"""Few examples make few bins, of at least so many rows each: a bin of one row says nothing."""

CATEGORIES = 50


class Bins(msgspec.Struct, frozen=True, kw_only=True):
    """Where a column's values are counted: at edges between numbers, or in known categories.

    A column has `edges` (ascending) or `categories`. Its cells are: missing; then of numbers one up to and
    with each edge and one above the last, of categories one for each and one for all others.
    """

    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] | None = None

    @classmethod
    def of(cls, values: np.ndarray) -> Bins:
        """Those that part a column evenly; for strings, the most frequent categories.

        A number column gets an edge at each value where it has few distinct ones, else at its quantiles.
        """
        if values.dtype.kind in "OUS":
            seen = Counter(value for value in values.ravel().tolist() if value is not None)
            ordered = sorted(seen, key=lambda value: (-seen[value], value))
            return cls(categories=tuple(ordered[:CATEGORIES]))
        numbers = values.astype(float).ravel()
        known = numbers[~np.isnan(numbers)]
        distinct = np.unique(known)
        if len(distinct) > NUMBER_BINS:
            parts = int(np.clip(len(known) // ROWS_OF_A_BIN, 2, NUMBER_BINS))
            wanted = np.arange(1, parts) / parts
            distinct = np.unique(np.quantile(known, wanted, method="inverted_cdf"))
        return cls(edges=tuple(distinct.tolist()))

    @property
    def cells(self) -> int:
        return 2 + len(self.edges if self.categories is None else self.categories)

    def count(self, values: np.ndarray) -> np.ndarray:
        """How many values fall into each cell (int64). A tensor's values are counted one by one."""
        if self.categories is not None:
            return self._count_words(values)
        numbers = values.astype(float, copy=False).ravel()
        counts: np.ndarray = np.bincount(1 + np.searchsorted(self.edges, numbers), minlength=self.cells)
        counts[0] = np.count_nonzero(np.isnan(numbers))
        counts[-1] -= counts[0]  # NaN is sorted behind every number
        return counts

    def _count_words(self, values: np.ndarray) -> np.ndarray:
        seen = Counter(values.ravel().tolist())
        missing = seen.pop(None, 0)
        known = [seen.pop(category, 0) for category in self.categories or ()]
        return np.array([missing, *known, seen.total()], np.int64)


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Bins and the count of each cell; profiles of the same bins are added with `+`."""

    bins: Bins
    counts: tuple[int, ...]

    @classmethod
    def of(cls, values: np.ndarray) -> Profile:
        """The column in bins of its own."""
        return cls.counted(Bins.of(values), values)

    @classmethod
    def counted(cls, bins: Bins, values: np.ndarray) -> Profile:
        """The column in the bins of another."""
        return cls(bins=bins, counts=tuple(bins.count(values).tolist()))

    def __add__(self, other: Profile) -> Profile:
        """Raises ValueError for other bins."""
        if self.bins != other.bins:
            raise ValueError("profiles with different bins cannot be added")
        return Profile(
            bins=self.bins, counts=tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        )

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
        return 0 if self.bins.categories is None else self.counts[-1]


class Profiles(msgspec.Struct, frozen=True, kw_only=True):
    """A version's own: of the inputs that it was trained on, and of its scores for them, by column."""

    inputs: dict[str, Profile] = {}
    scores: dict[str, Profile] = {}
