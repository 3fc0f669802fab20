"""Errors of scores against outcomes, as scikit-learn has them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import calibration as sklearn_calibration
from sklearn import metrics

from podium.trials.errors import (
    Loss,
    NumberSums,
    auc,
    auc_of_counts,
    calibration,
    label_errors,
    losses,
    number_errors,
    probability_errors,
)

NUMBERS = st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=40).map(
    lambda rows: np.array(rows).T
)
PARTS = st.integers(0, 20).map(lambda n: n / 20) | st.floats(0, 1)
BINARY = st.lists(st.tuples(PARTS, st.booleans()), min_size=1, max_size=40)


def columns(rows: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([p for p, _ in rows]), np.array([hit for _, hit in rows])


@given(NUMBERS)
def test_numbers_have_scikit_learns_errors(rows: np.ndarray) -> None:
    scores, outcomes = rows
    found = number_errors(scores, outcomes)
    assert found
    assert found.mae == pytest.approx(metrics.mean_absolute_error(outcomes, scores))
    assert found.rmse == pytest.approx(metrics.root_mean_squared_error(outcomes, scores))
    assert found.bias == pytest.approx(np.mean(scores - outcomes))
    assert losses(Loss.ABSOLUTE, scores, outcomes).mean() == pytest.approx(found.mae)
    assert losses(Loss.SQUARED, scores, outcomes).mean() == pytest.approx(found.rmse**2)


@given(NUMBERS, NUMBERS)
def test_sums_of_two_parts_give_the_errors_of_the_whole(a: np.ndarray, b: np.ndarray) -> None:
    added = (NumberSums.of(*a) + NumberSums.of(*b)).errors
    whole = number_errors(*np.concatenate([a, b], axis=1))
    assert added
    assert whole
    assert added.count == whole.count
    assert (added.mae, added.rmse) == pytest.approx((whole.mae, whole.rmse))
    assert added.bias == pytest.approx(whole.bias, abs=1e-6)


@given(BINARY)
def test_two_classes_have_scikit_learns_errors(rows: list[tuple[float, bool]]) -> None:
    probabilities, hits = columns(rows)
    found = probability_errors(probabilities, hits.astype(int))
    assert found
    assert found.accuracy == metrics.accuracy_score(hits, probabilities > 0.5)
    assert found.log_loss == pytest.approx(metrics.log_loss(hits, probabilities, labels=[False, True]))
    if hits.all() or not hits.any():
        assert found.auc is None
    else:
        assert found.auc == pytest.approx(metrics.roc_auc_score(hits, probabilities))


@given(st.integers(3, 5), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_more_classes_have_scikit_learns_errors(kinds: int, rows: int, seed: int) -> None:
    chance = np.random.default_rng(seed)
    probabilities = chance.dirichlet(np.ones(kinds), rows)
    outcomes = chance.integers(0, kinds, rows)
    found = probability_errors(probabilities, outcomes)
    assert found
    assert found.accuracy == metrics.accuracy_score(outcomes, probabilities.argmax(axis=1))
    assert found.log_loss == pytest.approx(metrics.log_loss(outcomes, probabilities, labels=range(kinds)))
    if len(set(outcomes.tolist())) == kinds:
        wanted = metrics.roc_auc_score(outcomes, probabilities, multi_class="ovr")
        assert found.auc == pytest.approx(wanted)
    else:
        assert found.auc is None
    assert found.calibration
    assert sum(part.count for part in found.calibration.bins) == rows


@given(BINARY)
def test_auc_is_mirrored_by_the_other_class_and_by_the_opposite_score(rows: list[tuple[float, bool]]) -> None:
    scores, hits = columns(rows)
    value = auc(scores, hits)
    if value is not None:
        assert auc(-scores, hits) == pytest.approx(1 - value)
        assert auc(scores, ~hits) == pytest.approx(1 - value)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=8))
def test_auc_of_counts_is_auc_of_the_rows(counts: list[tuple[int, int]]) -> None:
    positives, negatives = np.array(counts).T
    places = np.arange(len(counts))
    scores = np.concatenate([np.repeat(places, positives), np.repeat(places, negatives)])
    hits = np.repeat([True, False], [positives.sum(), negatives.sum()])
    assert auc(scores, hits) == auc_of_counts(positives, negatives)


@given(st.lists(st.tuples(st.integers(0, 99).map(lambda n: (n + 0.5) / 100), st.booleans()), min_size=1))
def test_reliability_bins_are_scikit_learns(rows: list[tuple[float, bool]]) -> None:
    probabilities, hits = columns(rows)
    found = calibration(probabilities, hits)
    assert found
    observed, predicted = sklearn_calibration.calibration_curve(hits, probabilities, n_bins=10)
    assert [part.observed for part in found.bins] == pytest.approx(observed.tolist())
    assert [part.predicted for part in found.bins] == pytest.approx(predicted.tolist())
    assert all(part.low <= part.predicted <= part.high for part in found.bins)
    apart = sum(part.count * abs(part.predicted - part.observed) for part in found.bins)
    assert found.error == pytest.approx(apart / len(rows))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1))
def test_labels_have_scikit_learns_accuracy(rows: list[tuple[str, str]]) -> None:
    labels, outcomes = np.array(rows, object).T
    found = label_errors(labels, outcomes)
    assert found
    assert found.accuracy == pytest.approx(metrics.accuracy_score(outcomes.tolist(), labels.tolist()))


def test_a_class_called_impossible_that_happens_costs_much_and_not_infinity() -> None:
    assert losses(Loss.LOG, np.array([0.0]), np.array([1])) == pytest.approx([36.04], abs=0.01)


def test_without_rows_there_are_no_errors() -> None:
    nothing = np.array([])
    assert number_errors(nothing, nothing) is None
    assert label_errors(nothing, nothing) is None
    assert probability_errors(nothing, nothing) is None
    assert calibration(nothing, nothing) is None
    assert auc(nothing, nothing) is None
