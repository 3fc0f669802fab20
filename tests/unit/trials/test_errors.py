"""Errors of scores against outcomes, as scikit-learn has them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import calibration as sklearn_calibration
from sklearn import metrics

from podium.trials.errors import BINS, auc_of_counts, calibration_of_sums

COUNTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=8)


@given(COUNTS)
def test_auc_of_counts_is_scikit_learns_of_the_rows(counts: list[tuple[int, int]]) -> None:
    positives, negatives = np.array(counts).T
    places = np.arange(len(counts))
    scores = np.concatenate([np.repeat(places, positives), np.repeat(places, negatives)])
    hits = np.repeat([True, False], [positives.sum(), negatives.sum()])
    found = auc_of_counts(positives, negatives)
    if hits.all() or not hits.any():
        assert found is None
    else:
        assert found == pytest.approx(metrics.roc_auc_score(hits, scores))


@given(COUNTS)
def test_auc_is_mirrored_by_the_other_class_and_by_the_opposite_score(counts: list[tuple[int, int]]) -> None:
    positives, negatives = np.array(counts).T
    value = auc_of_counts(positives, negatives)
    if value is not None:
        assert auc_of_counts(positives[::-1], negatives[::-1]) == pytest.approx(1 - value)
        assert auc_of_counts(negatives, positives) == pytest.approx(1 - value)


@given(st.lists(st.tuples(st.integers(0, 99).map(lambda n: (n + 0.5) / 100), st.booleans()), min_size=1))
def test_reliability_bins_are_scikit_learns(rows: list[tuple[float, bool]]) -> None:
    probabilities, hits = (np.array(values) for values in zip(*rows, strict=True))
    places = np.floor(probabilities * BINS).astype(int)
    found = calibration_of_sums(
        np.bincount(places, minlength=BINS),
        np.bincount(places, weights=probabilities, minlength=BINS),
        np.bincount(places, weights=hits, minlength=BINS),
    )
    assert found
    observed, predicted = sklearn_calibration.calibration_curve(hits, probabilities, n_bins=BINS)
    assert [part.observed for part in found.bins] == pytest.approx(observed.tolist())
    assert [part.predicted for part in found.bins] == pytest.approx(predicted.tolist())
    assert all(part.low <= part.predicted <= part.high for part in found.bins)
    apart = sum(part.count * abs(part.predicted - part.observed) for part in found.bins)
    assert found.error == pytest.approx(apart / len(rows))


def test_without_rows_there_are_no_errors() -> None:
    nothing = np.zeros(BINS, int)
    assert calibration_of_sums(nothing, nothing, nothing) is None
    assert auc_of_counts(nothing, nothing) is None
