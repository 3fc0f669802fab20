"""Always-valid inference: intervals that hold at every look at once, so that looking each day costs nothing.

An ordinary 95 % interval is wrong in 5 % of looks *at one time that was fixed before*; who looks each day and
stops when he likes what he sees is wrong far more often. A confidence sequence covers the truth at all
times together with its confidence.

Everything comes from sufficient statistics (`Moments`, `PairMoments`, counts), which a query gives in one
pass and which are added with `+`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

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
        if not len(values):
            return cls(count=0)
        return cls(count=len(values), mean=float(np.mean(values)), variance=float(np.var(values)))

    def __add__(self, other: Moments) -> Moments:
        count = self.count + other.count
        if not count:
            return self
        part = other.count / count
        apart = other.mean - self.mean
        return Moments(
            count=count,
            mean=self.mean + part * apart,
            variance=_pooled(self.variance, other.variance, apart * apart, part),
        )


class PairMoments(msgspec.Struct, frozen=True, kw_only=True):
    """The moments of two losses of the same rows: `avg`, `var_pop`, `covar_pop` in SQL; added with `+`.

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
        if not len(a):
            return cls(count=0)
        (variance_a, covariance), (_, variance_b) = np.cov(a, b, bias=True).tolist()
        return cls(
            count=len(a),
            mean_a=float(np.mean(a)),
            mean_b=float(np.mean(b)),
            variance_a=variance_a,
            variance_b=variance_b,
            covariance=covariance,
        )

    def __add__(self, other: PairMoments) -> PairMoments:
        count = self.count + other.count
        if not count:
            return self
        part = other.count / count
        apart_a, apart_b = other.mean_a - self.mean_a, other.mean_b - self.mean_b
        return PairMoments(
            count=count,
            mean_a=self.mean_a + part * apart_a,
            mean_b=self.mean_b + part * apart_b,
            variance_a=_pooled(self.variance_a, other.variance_a, apart_a * apart_a, part),
            variance_b=_pooled(self.variance_b, other.variance_b, apart_b * apart_b, part),
            covariance=_pooled(self.covariance, other.covariance, apart_a * apart_b, part),
        )

    def difference(self, k: float = 1.0) -> Moments:
        """The moments of `b - k * a`."""
        variance = self.variance_b - 2 * k * self.covariance + k * k * self.variance_a
        return Moments(count=self.count, mean=self.mean_b - k * self.mean_a, variance=max(0.0, variance))

    def difference_counts(self, k: float = 1.0) -> dict[float, int]:
        """Of losses that are 0 or 1: how often `b - k * a` had each value that it can have."""
        both = round(self.count * (self.covariance + self.mean_a * self.mean_b))
        only_a = round(self.count * self.mean_a) - both
        only_b = round(self.count * self.mean_b) - both
        found = {-k: only_a, 0.0: self.count - both - only_a - only_b, 1.0: only_b}
        found[1.0 - k] = found.get(1.0 - k, 0) + both
        return found


def _pooled(first: float, second: float, apart: float, part: float) -> float:
    """The (co)variance of two samples together: `part` is the second one's, `apart` of their means."""
    return first + part * (second - first) + part * (1 - part) * apart


def mean_interval(moments: Moments, confidence: float = CONFIDENCE) -> Interval | None:
    """The asymptotic confidence sequence of a mean, None under `LEAST` values.

    Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic
    confidence sequences", Annals of Statistics 52(6), 2024 (arXiv:2103.06476), Theorem 2.2; its parameter is
    set for `TUNED_FOR` values as its appendix says.
    """
    if moments.count < LEAST:
        return None
    alpha, count = 1 - confidence, moments.count
    tuned = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / TUNED_FOR  # rho squared
    spread = count * tuned + 1
    margin = math.sqrt(2 * spread / (count * count * tuned) * math.log(math.sqrt(spread) / alpha))
    half = math.sqrt(moments.variance) * margin
    return Interval(low=moments.mean - half, high=moments.mean + half)


def counts_interval(counts: Mapping[float, int], confidence: float = CONFIDENCE) -> Interval:
    """The exact confidence sequence of the mean of a variable that has these few values, each so often.

    `counts` names every value that can occur, also with 0. It holds from the first value on, with no
    approximation. Raises ValueError for fewer than two values.

    The likelihood of the counts, mixed over all distributions of the values by Jeffreys' Dirichlet(1/2, …)
    prior, over their likelihood under the true distribution is a nonnegative martingale that begins at 1,
    so by Ville's inequality it ever reaches 1/alpha with a chance of at most alpha. A mean stays in the
    interval while some distribution with that mean keeps the ratio below 1/alpha.

    Sources: Robbins, "Statistical methods related to the law of the iterated logarithm", 1970 (the
    mixture); Lindon and Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022 (the
    Dirichlet mixture); Owen, "Empirical Likelihood", 2001, section 2.9 (the most likely distribution with a
    given mean).
    """
    if len(counts) < 2:
        raise ValueError("a variable of one value has no interval")
    lowest, highest, mean = min(counts), max(counts), _mean(counts)
    if mean is None:
        return Interval(low=lowest, high=highest)
    room = _room(counts, confidence)

    def is_out(candidate: float) -> bool:
        return _log_ratio(counts, candidate) > room

    return Interval(low=_border(is_out, lowest, mean), high=_border(is_out, highest, mean))


def counts_below(counts: Mapping[float, int], limit: float, confidence: float = CONFIDENCE) -> bool:
    """Whether `counts_interval` ends below a limit among the values, at a fortieth of its cost."""
    mean = _mean(counts)
    return mean is not None and mean < limit and _log_ratio(counts, limit) > _room(counts, confidence)


_STEPS = 40
"""Halvings of a search: 2**-40 of where it began."""


def _border(is_out: Callable[[float], bool], outer: float, inner: float) -> float:
    """Where candidates begin to be out on the way from inside to outside, rounded outwards."""
    for _ in range(_STEPS if outer != inner else 0):
        middle = (outer + inner) / 2
        if is_out(middle):
            outer = middle
        else:
            inner = middle
    return outer


def _mean(counts: Mapping[float, int]) -> float | None:
    count = sum(counts.values())
    if not count:
        return None
    return min(max(counts), max(min(counts), sum(value * n for value, n in counts.items()) / count))


def _room(counts: Mapping[float, int], confidence: float) -> float:
    """How unlikely, as a log, the counts may be under a mean that is still in the interval."""
    total, kinds = sum(counts.values()), len(counts)
    likely = sum(n * math.log(n / total) for n in counts.values() if n)
    mixed = sum(math.lgamma(n + 0.5) - math.lgamma(0.5) for n in counts.values())
    mixed -= math.lgamma(total + kinds / 2) - math.lgamma(kinds / 2)
    return likely - mixed - math.log(1 - confidence)


def _log_ratio(counts: Mapping[float, int], mean: float) -> float:
    """How much likelier the counts are under their own frequencies than under any distribution of this mean.

    By duality the largest of sum(n * log(1 + bet * (value - mean))) over bets that no value can ruin:
    concave in the bet, so its slope is searched for where it is 0.
    """
    gains = [(value - mean, n) for value, n in counts.items() if n]
    upwards = sum(gain * n for gain, n in gains) > 0
    ruin = 1 / (mean - (min(counts) if upwards else max(counts)))
    least, most = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (least + most) / 2
        slope = sum(n * gain / (1 + middle * ruin * gain) for gain, n in gains)
        if slope * ruin > 0:
            least = middle
        else:
            most = middle
    return sum(n * math.log1p(least * ruin * gain) for gain, n in gains)
