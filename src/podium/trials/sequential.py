"""Always-valid inference: intervals that hold at every look at once, so that looking each day costs nothing.

An ordinary 95 % interval is wrong in 5 % of looks *at one time that was fixed before*; who looks each day and
stops when he likes what he sees is wrong far more often. A confidence sequence covers the truth at all
times together with its confidence.

Everything comes from sufficient statistics (`Moments`, `PairMoments`, counts), which a query gives in one
pass and which are added with `+`.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

CONFIDENCE = 0.95
LEAST = 100
"""A mean of fewer values has no interval: the central limit theorem has not set in."""

TUNED_FOR = 10_000
"""The number of values at which the intervals of a mean are tightest; they hold at every other one too."""


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """From `low` to `high`, both within."""

    low: float
    high: float


class Moments(msgspec.Struct, frozen=True, kw_only=True):
    """Count, mean and variance (over the count, `var_pop` in SQL) of numbers; added with `+`."""

    count: int
    mean: float = 0.0
    variance: float = 0.0

    @classmethod
    def of(cls, values: np.ndarray) -> Moments:
        raise NotImplementedError

    def __add__(self, other: Moments) -> Moments:
        raise NotImplementedError


class PairMoments(msgspec.Struct, frozen=True, kw_only=True):
    """The moments of two losses of the same rows: in SQL `avg`, `var_pop`, `covar_pop`; added with `+`.

    With them any `b - k * a` has its mean and variance, whatever `k` is asked later.
    """

    count: int
    mean_a: float = 0.0
    mean_b: float = 0.0
    variance_a: float = 0.0
    variance_b: float = 0.0
    covariance: float = 0.0

    @classmethod
    def of(cls, a: np.ndarray, b: np.ndarray) -> PairMoments:
        raise NotImplementedError

    def __add__(self, other: PairMoments) -> PairMoments:
        raise NotImplementedError

    def difference(self, k: float = 1.0) -> Moments:
        """The moments of `b - k * a`."""
        raise NotImplementedError

    def difference_counts(self, k: float = 1.0) -> dict[float, int]:
        """Of losses that are 0 or 1: how often `b - k * a` had each value that it can have."""
        raise NotImplementedError


def mean_interval(moments: Moments, confidence: float = CONFIDENCE) -> Interval | None:
    """The asymptotic confidence sequence of a mean, None under `LEAST` values.

    Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic
    confidence sequences", Annals of Statistics 52(6), 2024 (arXiv:2103.06476), Theorem 2.2; its parameter
    is set for `TUNED_FOR` values as its appendix says.
    """
    raise NotImplementedError


def counts_interval(counts: Mapping[float, int], confidence: float = CONFIDENCE) -> Interval:
    """The exact confidence sequence of the mean of a variable that has these few values, each so often.

    `counts` names every value that can occur, also with 0. It holds from the first value on, with no
    approximation. Raises ValueError for fewer than two values.
    """
    raise NotImplementedError


def part_interval(hits: int, count: int, confidence: float = CONFIDENCE) -> Interval:
    """The exact confidence sequence of a part: `hits` of `count`."""
    return counts_interval({0.0: count - hits, 1.0: hits}, confidence)
