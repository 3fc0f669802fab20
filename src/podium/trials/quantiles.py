"""Quantiles and Q–Q points of samples, which are arrays or mergeable histograms.

A quantile is always a value of the sample: the smallest that at least the part `q` of it does not exceed
(numpy's `inverted_cdf`, SQL's `quantile_disc`), so that an array, a query and a histogram mean the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

PER_OCTAVE = 32
SMALLEST_EXPONENT = -64
PARTS = 1 << 16
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
        """NaN is left out: a missing value has no place in an order. Raises ValueError for infinity."""
        known = _known(values)
        if not np.isfinite(known).all():
            raise ValueError("infinity has no bucket")
        keys, counts = np.unique(_keys(known), return_counts=True)
        return cls(tuple(keys.tolist()), tuple(counts.tolist()))

    @property
    def count(self) -> int:
        return sum(self.counts)

    def __add__(self, other: Histogram) -> Histogram:
        total = Counter(dict(zip(self.keys, self.counts, strict=True)))
        total.update(dict(zip(other.keys, other.counts, strict=True)))
        keys = sorted(total)
        return Histogram(tuple(keys), tuple(total[key] for key in keys))


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
    count = _count(sample)
    if not count:
        raise ValueError("a sample without values has no quantiles")
    parts = np.round(np.asarray(probabilities) * count, 9)  # 0.07 * 100 is 7.000000000000001
    ranks = np.maximum(np.ceil(parts), 1).astype(np.int64)
    if isinstance(sample, Histogram):
        return _middles(np.array(sample.keys)[np.searchsorted(np.cumsum(sample.counts), ranks)])
    return _of_ranks(_known(sample), ranks - 1)


def summary(sample: Sample) -> Quantiles:
    count = _count(sample)
    if not count:
        return Quantiles(count=0)
    p50, p90, p95, p99 = quantiles(sample, (0.5, 0.9, 0.95, 0.99)).tolist()
    return Quantiles(count=count, p50=p50, p90=p90, p95=p95, p99=p99)


def points(a: Sample, b: Sample, probabilities: Sequence[float] = PROBABILITIES) -> tuple[Point, ...]:
    """The Q–Q points of two samples; none where one of them is empty."""
    if not _count(a) or not _count(b):
        return ()
    pairs = zip(probabilities, quantiles(a, probabilities), quantiles(b, probabilities), strict=True)
    return tuple(Point(q=q, a=float(x), b=float(y)) for q, x, y in pairs)


def _count(sample: Sample) -> int:
    return sample.count if isinstance(sample, Histogram) else len(_known(sample))


def _known(values: np.ndarray) -> np.ndarray:
    numbers = np.asarray(values, float).ravel()
    missing = np.isnan(numbers)
    return numbers[~missing] if missing.any() else numbers


def _of_ranks(values: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """What `np.sort(values)[ranks]` is: of `PARTS` equal parts of the range only those are sorted in which a
    rank lies, which takes a fifth of the time.
    """
    with np.errstate(over="ignore", divide="ignore"):
        low = values.min()
        scale = PARTS / (values.max() - low)
    if len(values) < PARTS or not 0 < scale < np.inf:
        few: np.ndarray = np.sort(values)[ranks]
        return few
    parts = ((values - low) * scale).astype(np.intp)
    counts = np.bincount(parts, minlength=PARTS + 1)
    wanted = np.searchsorted(np.cumsum(counts), ranks, side="right")
    is_wanted = np.zeros(len(counts), bool)
    is_wanted[wanted] = True
    left_out = np.cumsum(np.where(is_wanted, 0, counts))
    found: np.ndarray = np.sort(values[is_wanted[parts]])[ranks - left_out[wanted]]
    return found


def _keys(values: np.ndarray) -> np.ndarray:
    sizes = np.abs(values)
    tiny = sizes < 2.0**SMALLEST_EXPONENT
    octaves = np.log2(np.where(tiny, 1.0, sizes)) - SMALLEST_EXPONENT
    keys: np.ndarray = np.sign(values) * (1 + np.floor(octaves * PER_OCTAVE))
    return np.where(tiny, 0, keys).astype(np.int64)


def _middles(keys: np.ndarray) -> np.ndarray:
    """The geometric middle of each bucket."""
    middles: np.ndarray = np.sign(keys) * np.exp2((np.abs(keys) - 0.5) / PER_OCTAVE + SMALLEST_EXPONENT)
    return middles
