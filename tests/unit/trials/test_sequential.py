"""Intervals that hold at every look at once."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, optimize, special, stats

from podium.trials.sequential import (
    LEAST,
    TUNED_FOR,
    Interval,
    Moments,
    PairMoments,
    counts_below,
    counts_interval,
    mean_interval,
)

VALUES = st.lists(st.floats(-1e6, 1e6), max_size=30).map(np.array)
PAIRS = st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), max_size=30).map(
    lambda rows: np.array(rows).reshape(-1, 2).T
)
COUNTS = st.integers(0, 300)
ALPHA = 0.05


# --- moments ----------------------------------------------------------------------------------


@given(VALUES, VALUES)
def test_moments_of_two_samples_are_the_sum_of_their_moments(a: np.ndarray, b: np.ndarray) -> None:
    both, added = Moments.of(np.concatenate([a, b])), Moments.of(a) + Moments.of(b)
    assert added.count == both.count
    assert (added.mean, added.variance) == pytest.approx((both.mean, both.variance), rel=1e-9, abs=1e-3)


@given(PAIRS, PAIRS, st.floats(0, 3))
def test_moments_of_pairs_give_those_of_any_difference_also_when_added(
    first: np.ndarray, second: np.ndarray, k: float
) -> None:
    a, b = np.concatenate([first, second], axis=1)
    found = (PairMoments.of(*first) + PairMoments.of(*second)).difference(k)
    wanted = Moments.of(b - k * a)
    assert found.count == wanted.count
    assert (found.mean, found.variance) == pytest.approx((wanted.mean, wanted.variance), rel=1e-9, abs=1e-6)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40), st.sampled_from([1.0, 1.05, 0.9]))
def test_moments_of_zeros_and_ones_give_the_counts_of_each_difference(
    rows: list[tuple[bool, bool]], k: float
) -> None:
    a, b = np.array(rows, float).reshape(-1, 2).T
    found = PairMoments.of(a, b).difference_counts(k)
    assert sum(found.values()) == len(rows)
    assert {value: n for value, n in found.items() if n} == {
        value: int(np.sum(b - k * a == value)) for value in set((b - k * a).tolist())
    }


# --- the mean ---------------------------------------------------------------------------------


def test_at_the_intervals_border_the_mixture_over_all_drifts_reaches_one_over_alpha() -> None:
    tuned = (-2 * math.log(ALPHA) + math.log(-2 * math.log(ALPHA) + 1)) / TUNED_FOR
    for count in (LEAST, 5_000):
        interval = mean_interval(Moments(count=count, variance=1.0))
        assert interval
        reached = interval.high * count
        mixture, _ = integrate.quad(
            lambda drift, reached=reached, count=count: (
                math.exp(drift * reached - drift * drift * count / 2)
                * stats.norm.pdf(drift, 0, math.sqrt(tuned))
            ),
            -0.5,
            0.5,
            points=[0.0, reached / count],
        )
        assert mixture == pytest.approx(1 / ALPHA, rel=1e-6)


@given(st.integers(LEAST, 10**8), st.floats(-10, 10), st.floats(0, 100), st.floats(0.5, 0.99))
def test_an_interval_is_around_its_mean_scales_with_it_and_widens_with_confidence(
    count: int, mean: float, variance: float, confidence: float
) -> None:
    found = mean_interval(Moments(count=count, mean=mean, variance=variance), confidence)
    unit = mean_interval(Moments(count=count, variance=1.0), confidence)
    surer = mean_interval(Moments(count=count, mean=mean, variance=variance), confidence + 0.005)
    assert found
    assert unit
    assert surer
    assert found.high == pytest.approx(mean + math.sqrt(variance) * unit.high)
    assert found.low + found.high == pytest.approx(2 * mean, abs=1e-9)
    assert surer.low <= found.low <= found.high <= surer.high


def test_few_values_have_no_interval() -> None:
    assert mean_interval(Moments(count=LEAST - 1, variance=1.0)) is None


def test_more_values_make_it_narrower() -> None:
    widths = [mean_interval(Moments(count=n, variance=1.0)) for n in (100, 1_000, 10_000, 10**7)]
    assert all(before and after and before.high > after.high for before, after in pairwise(widths))


def test_who_looks_all_the_time_is_wrong_less_often_than_alpha_and_with_an_ordinary_interval_often() -> None:
    runs, most = 1000, 3000
    margin = np.array([_high(count) for count in range(LEAST, most + 1)])
    ordinary = stats.t.ppf(1 - ALPHA / 2, np.arange(LEAST, most + 1) - 1) / np.sqrt(
        np.arange(LEAST, most + 1)
    )
    chance = np.random.default_rng(5)
    for draw in (chance.standard_normal, chance.standard_exponential):
        values = draw((runs, most))
        counts = np.arange(1, most + 1)
        means = np.cumsum(values, axis=1) / counts
        deviations = np.sqrt(np.cumsum(values**2, axis=1) / counts - means**2)
        off = np.abs(means - (draw == chance.standard_exponential))[:, LEAST - 1 :]
        wrong = off > margin * deviations[:, LEAST - 1 :]
        wrong_ordinary = off > ordinary * deviations[:, LEAST - 1 :]
        assert wrong.any(axis=1).mean() < ALPHA
        assert wrong_ordinary.any(axis=1).mean() > 4 * ALPHA
        assert wrong_ordinary[:, -1].mean() < 2 * ALPHA  # one look that was fixed before is what it is for


def _high(count: int) -> float:
    interval = mean_interval(Moments(count=count, variance=1.0), 1 - ALPHA)
    assert interval
    return interval.high


# --- counts -----------------------------------------------------------------------------------


@given(COUNTS, COUNTS, st.sampled_from([0.8, 0.95, 0.99]))
def test_the_interval_of_a_part_ends_where_the_beta_mixture_reaches_one_over_alpha(
    hits: int, misses: int, confidence: float
) -> None:
    found = counts_interval({0.0: misses, 1.0: hits}, confidence)

    def mixture(part: float) -> float:
        mixed = special.betaln(hits + 0.5, misses + 0.5) - special.betaln(0.5, 0.5)
        return float(mixed - special.xlogy(hits, part) - special.xlog1py(misses, -part))

    for border, extreme in ((found.low, 0.0), (found.high, 1.0)):
        if border != extreme:
            assert mixture(border) == pytest.approx(-math.log(1 - confidence), abs=1e-6)
    assert found.low <= (hits / (hits + misses) if hits + misses else 0) <= found.high


@given(st.tuples(COUNTS, COUNTS, COUNTS).filter(any))
def test_the_interval_of_three_values_ends_where_the_likeliest_distribution_is_too_unlikely(
    counts: tuple[int, int, int],
) -> None:
    worse, same, better = counts
    found = counts_interval({-1.0: worse, 0.0: same, 1.0: better}, 1 - ALPHA)
    shape = np.array([0.5, 0.5, 0.5])
    mixed = np.sum(special.gammaln(shape + counts)) - special.gammaln(1.5 + sum(counts))
    mixed -= np.sum(special.gammaln(shape)) - special.gammaln(1.5)

    def unlikely(mean: float) -> float:
        """-log of the counts' likelihood under the likeliest (p, 1 - 2p - mean, p + mean)."""
        bounds = (max(0.0, -mean), (1 - mean) / 2)
        return float(
            optimize.minimize_scalar(
                lambda p: -sum(special.xlogy(counts, [p, max(0.0, 1 - 2 * p - mean), p + mean])),
                bounds=bounds,
                method="bounded",
                options={"xatol": 1e-10},
            ).fun
        )

    for border in (found.low, found.high):
        if abs(border) != 1:
            assert mixed + unlikely(border) == pytest.approx(-math.log(ALPHA), abs=1e-2)


@given(st.dictionaries(st.floats(-5, 5), COUNTS, min_size=2, max_size=5))
def test_an_exact_interval_lies_among_the_values_around_their_mean_and_mirrors(
    counts: dict[float, int],
) -> None:
    found = counts_interval(counts)
    assert min(counts) <= found.low <= found.high <= max(counts)
    if total := sum(counts.values()):
        mean = sum(value * n for value, n in counts.items()) / total
        assert found.low - 1e-9 <= mean <= found.high + 1e-9
    mirrored = counts_interval({-value: n for value, n in counts.items()})
    assert (-mirrored.high, -mirrored.low) == pytest.approx((found.low, found.high), abs=1e-9)


@given(st.tuples(COUNTS, COUNTS, COUNTS), st.floats(-0.9, 0.9))
def test_counts_are_below_a_limit_where_their_interval_is(counts: tuple[int, int, int], limit: float) -> None:
    named = dict(zip((-1.0, 0.0, 1.0), counts, strict=True))
    high = counts_interval(named).high
    if abs(high - limit) > 1e-9:
        assert counts_below(named, limit) == (high < limit)


def test_nothing_seen_leaves_everything_possible() -> None:
    assert counts_interval({0.0: 0, 1.0: 0}) == Interval(low=0, high=1)
    with pytest.raises(ValueError, match="one value"):
        counts_interval({1.0: 3})


def test_who_looks_all_the_time_at_a_part_is_wrong_less_often_than_alpha() -> None:
    runs, looks, true = 500, range(5, 400, 10), 0.1
    hits = np.cumsum(np.random.default_rng(7).random((runs, looks[-1])) < true, axis=1)

    @cache
    def interval(hits: int, count: int) -> Interval:
        return counts_interval({0.0: count - hits, 1.0: hits})

    wrong, wrong_ordinary = np.zeros(runs, bool), np.zeros(runs, bool)
    for count in looks:
        seen = hits[:, count - 1]
        outside = [not interval(int(n), count).low <= true <= interval(int(n), count).high for n in seen]
        wrong |= outside
        part = seen / count
        wrong_ordinary |= np.abs(part - true) > 1.96 * np.sqrt(part * (1 - part) / count)
    assert wrong.mean() < ALPHA
    assert wrong_ordinary.mean() > 4 * ALPHA
