"""When two contenders' outputs are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from podium.trials.agreement import agreed, agreeing, agreement

FLOATS = st.floats(-1e6, 1e6)
PAIRS = st.lists(st.tuples(FLOATS, FLOATS), min_size=1, max_size=8).map(lambda rows: np.array(rows).T)


def same(a: Any, b: Any, tolerance: float = 0.05) -> int:
    return agreed({"y": np.array(a)}, {"y": np.array(b)}, tolerance)


def test_numbers_agree_within_the_tolerance_and_everything_else_when_it_is_equal() -> None:
    assert same([100.0, 100.0, 0.0], [104.0, 106.0, 0.0]) == 2
    assert same([1, 2], [1, 3]) == 1
    assert same([True, False], [True, True]) == 1
    assert agreed({"y": np.array(["a", "b"], object)}, {"y": np.array(["a", "c"], object)}, 0.05) == 1


def test_rows_agree_when_all_their_outputs_and_all_values_of_a_tensor_do() -> None:
    a = {"y": np.array([1.0, 2.0]), "z": np.array([[1, 2], [3, 4]]), "only here": np.zeros(2)}
    b = {"y": np.array([1.0, 2.0]), "z": np.array([[1, 2], [3, 5]])}
    assert agreed(a, b, 0.0) == 1


def test_who_shares_no_output_agrees_on_nothing() -> None:
    assert agreed({"y": np.ones(2)}, {"z": np.ones(2)}, 0.05) == 0


@given(st.lists(FLOATS, min_size=1, max_size=5), st.floats(0, 0.5))
def test_everybody_agrees_with_himself(values: list[float], tolerance: float) -> None:
    assert same(values, values, tolerance) == len(values)


@given(PAIRS, st.floats(0, 2), st.floats(0, 2))
def test_a_larger_tolerance_never_makes_rows_disagree(pair: np.ndarray, one: float, two: float) -> None:
    a, b = pair
    assert not (agreeing(a, b, min(one, two)) & ~agreeing(a, b, max(one, two))).any()


@given(PAIRS, st.floats(0, 2))
def test_a_row_agrees_exactly_where_the_documented_rule_says(pair: np.ndarray, tolerance: float) -> None:
    assert agreeing(*pair, tolerance).tolist() == [
        abs(a - b) <= tolerance * abs(a) for a, b in pair.T.tolist()
    ]


def test_the_part_that_agrees_is_unknown_without_rows() -> None:
    assert agreement(4, 3, 0.05).part == 0.75
    assert agreement(0, 0, 0.05).part is None
