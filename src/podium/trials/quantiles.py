"""Quantiles and Q–Q points of samples, which are arrays or mergeable histograms.

A quantile is always a value of the sample: the smallest that at least the part `q` of it does not exceed
(numpy's `inverted_cdf`, SQL's `quantile_disc`), so that an array, a query and a histogram mean the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

PER_OCTAVE = 32
SMALLEST_EXPONENT = -64
PROBABILITIES = tuple(round(0.01 * i, 2) for i in range(1, 100))
"""Where two samples are compared if nobody says otherwise: each percentile."""


class Histogram(msgspec.Struct, frozen=True):
    """Counts in fixed logarithmic buckets, each 2**(1/32) wide: a quantile is within 1.1 % of the true one.

    `keys` are in ascending order, as their values are. The key of a value x is 0 where |x| < 2**-64, else
    `sign(x) * (1 + floor(32 * (log2(abs(x)) + 64)))`, which SQL can say too. Histograms are added with `+`.
    """

    keys: tuple[int, ...] = ()
    counts: tuple[int, ...] = ()

    @classmethod
    def of(cls, values: np.ndarray) -> Histogram:
        """NaN is left out: a missing value has no place in an order."""
        raise NotImplementedError

    @property
    def count(self) -> int:
        return sum(self.counts)

    def __add__(self, other: Histogram) -> Histogram:
        raise NotImplementedError


Sample = np.ndarray | Histogram


class Quantiles(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a sample; None where it is empty."""

    count: int
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A point of a Q–Q plot: the values that the part `q` of each sample does not exceed."""

    q: float
    a: float
    b: float


def quantiles(sample: Sample, probabilities: Sequence[float]) -> np.ndarray:
    """One value for each probability (0 to 1). Raises ValueError for an empty sample."""
    raise NotImplementedError


def summary(sample: Sample) -> Quantiles:
    raise NotImplementedError


def points(a: Sample, b: Sample, probabilities: Sequence[float] = PROBABILITIES) -> tuple[Point, ...]:
    """The Q–Q points of two samples; none where one of them is empty."""
    raise NotImplementedError
