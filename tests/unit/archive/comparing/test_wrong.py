"""Errors in SQL are scikit-learn's on the same rows, whatever the rows are."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from podium.archive.comparing import wrong
from podium.archive.comparing.lake import Lake
from podium.archive.comparing.outputs import Output, What
from podium.trials.comparison import ErrorComparison
from podium.trials.errors import ClassErrors, NumberErrors

NUMBER = Output(number=0, name="progression", kind="DOUBLE", what=What.NUMBER)
NUMBERS = st.floats(-1e6, 1e6, allow_subnormal=False)
WEIGHTS = st.integers(0, 4)
"""Probabilities are made of few weights, so that ties, zeros and ones are frequent."""


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


@given(rows=st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=40))
def test_errors_of_numbers(
    connection: duckdb.DuckDBPyConnection, rows: list[tuple[float, float, float]]
) -> None:
    errors = judged(connection, NUMBER, "DOUBLE", rows)
    a, b, truth = np.array(rows).T
    for said, found in ((a, errors.a), (b, errors.b)):
        assert isinstance(found, NumberErrors)
        assert found.count == len(rows)
        assert found.mae == pytest.approx(metrics.mean_absolute_error(truth, said))
        assert found.rmse == pytest.approx(metrics.root_mean_squared_error(truth, said))
        assert found.bias == pytest.approx(float(np.mean(said - truth)), rel=1e-9, abs=1e-6)


@given(data=st.data(), classes=st.integers(2, 4))
def test_errors_of_classes(connection: duckdb.DuckDBPyConnection, data: st.DataObject, classes: int) -> None:
    names = tuple("abcd"[:classes])
    output = Output(number=0, name="p", kind="DOUBLE[]", what=What.PROBABILITIES, classes=names)
    weights = st.lists(WEIGHTS, min_size=classes, max_size=classes).filter(any)
    row = st.tuples(weights, weights, st.integers(1, classes))
    drawn = data.draw(st.lists(row, min_size=1, max_size=30))
    a, b = (np.array([one[side] for one in drawn], float) for side in (0, 1))
    a, b = (said / said.sum(axis=1, keepdims=True) for said in (a, b))
    truth = np.array([one[2] for one in drawn]) - 1
    rows = [(x.tolist(), y.tolist(), int(t) + 1) for x, y, t in zip(a, b, truth, strict=True)]
    errors = judged(connection, output, "DOUBLE[]", rows)
    for said, found in ((a, errors.a), (b, errors.b)):
        assert isinstance(found, ClassErrors)
        assert found.accuracy == pytest.approx(metrics.accuracy_score(truth, said.argmax(axis=1)))
        assert found.log_loss == pytest.approx(metrics.log_loss(truth, said, labels=range(classes)))
        assert found.auc == pytest.approx(area(truth, said), nan_ok=True)
        assert found.calibration
        assert sum(one.count for one in found.calibration.bins) == len(rows)


def area(truth: np.ndarray, said: np.ndarray) -> float | None:
    """scikit-learn's, where it has one: each class must be there."""
    if set(truth) != set(range(said.shape[1])):
        return None
    return float(metrics.roc_auc_score(truth, said[:, 1] if said.shape[1] == 2 else said, multi_class="ovr"))


def judged(
    connection: duckdb.DuckDBPyConnection, output: Output, kind: str, rows: list[tuple[object, ...]]
) -> ErrorComparison:
    """What `errors` says of a table of these rows: a's score, b's, and the outcome."""
    truth = "DOUBLE" if output.what is What.NUMBER else "BIGINT"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE judged (a0 {kind}, b0 {kind}, t0 {truth})")
    connection.executemany("INSERT INTO judged VALUES (?, ?, ?)", rows)
    return wrong.errors(Lake(connection, {}, {}), output)
