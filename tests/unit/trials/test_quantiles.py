"""Quantiles of arrays and of histograms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from podium.trials.quantiles import (
    PER_OCTAVE,
    SMALLEST_EXPONENT,
    Histogram,
    Quantiles,
    points,
    quantiles,
    summary,
)

SAMPLES = st.lists(
    st.floats(-1e300, 1e300) | st.floats(-10, 10) | st.integers(-3, 3).map(float), min_size=1, max_size=60
).map(np.array)
PROBABILITIES = st.lists(st.integers(0, 64).map(lambda n: n / 64), min_size=1, max_size=6)
NEAR = 2 ** (0.5 / PER_OCTAVE) - 1
TINY = 2.0**SMALLEST_EXPONENT


@given(SAMPLES, PROBABILITIES)
def test_quantiles_of_an_array_are_numpys_inverted_cdf(values: np.ndarray, wanted: list[float]) -> None:
    assert quantiles(values, wanted).tolist() == np.quantile(values, wanted, method="inverted_cdf").tolist()


@given(SAMPLES, PROBABILITIES)
def test_a_histogram_has_the_quantiles_of_its_values_within_half_a_bucket(
    values: np.ndarray, wanted: list[float]
) -> None:
    near = quantiles(Histogram.of(values), wanted)
    assert near == pytest.approx(quantiles(values, wanted), rel=NEAR * 1.000001, abs=TINY)


@given(SAMPLES, SAMPLES)
def test_the_histogram_of_two_samples_is_the_sum_of_their_histograms(a: np.ndarray, b: np.ndarray) -> None:
    both = Histogram.of(np.concatenate([a, b]))
    assert Histogram.of(a) + Histogram.of(b) == Histogram.of(b) + Histogram.of(a) == both
    assert both.count == len(a) + len(b)
    assert both + Histogram() == both


@given(SAMPLES)
def test_a_larger_probability_has_no_smaller_quantile(values: np.ndarray) -> None:
    wanted = np.linspace(0, 1, 50).tolist()
    for sample in (values, Histogram.of(values)):
        assert (np.diff(quantiles(sample, wanted)) >= 0).all()


@given(SAMPLES)
def test_a_sample_against_itself_lies_on_the_diagonal(values: np.ndarray) -> None:
    assert all(point.a == point.b for point in points(values, values))


def test_points_of_a_shifted_sample_lie_beside_the_diagonal() -> None:
    normal = stats.norm.rvs(size=2000, random_state=1)
    assert {round(point.b - point.a, 9) for point in points(normal, normal + 3)} == {3.0}
    median = points(normal, Histogram.of(normal), (0.5,))[0]
    assert median.b == pytest.approx(median.a, rel=NEAR)


def test_the_key_of_a_bucket_is_the_documented_formula() -> None:
    assert Histogram.of(np.array([0.0, 1.0, -1.0, 1.03, TINY / 2])) == Histogram(
        (-2049, 0, 2049, 2050), (1, 2, 1, 1)
    )


def test_missing_values_are_left_out_and_infinity_is_refused() -> None:
    assert summary(np.array([np.nan, 2.0])).count == Histogram.of(np.array([np.nan, 2.0])).count == 1
    with pytest.raises(ValueError, match="infinity"):
        Histogram.of(np.array([np.inf]))


def test_an_empty_sample_has_a_summary_and_no_quantiles() -> None:
    assert summary(np.array([])) == summary(Histogram()) == Quantiles(count=0)
    assert points(np.array([]), np.array([1.0])) == ()
    with pytest.raises(ValueError, match="without values"):
        quantiles(np.array([]), [0.5])


def test_a_summary_says_the_usual_quantiles() -> None:
    assert summary(np.arange(1, 101)) == Quantiles(count=100, p50=50, p90=90, p95=95, p99=99)
    assert quantiles(np.arange(1, 101), [0.07]).tolist() == [7]


@pytest.mark.parametrize("spread", [0.0, 1e-300, 1.0, 1e308])
def test_the_quantiles_of_many_values_are_those_of_sorting_them_all(spread: float) -> None:
    random = np.random.default_rng(5)
    values = np.concatenate([random.uniform(-1, 1, 150_000) * spread, [-spread, spread], np.zeros(70_000)])
    wanted = [0.0, 0.001, 0.01, 0.5, 0.77, 0.999, 1.0]
    assert quantiles(values, wanted).tolist() == np.quantile(values, wanted, method="inverted_cdf").tolist()
