"""Values from outside become columns of the declared types, or defaults."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.unit.gateway.features.asked import FIELDS, INCOME, PLACE, SEGMENT, request, shown

from podium.errors import FeaturesFailed
from podium.gateway.features.values import Why, completed, defaults, of_arrays, of_rows
from podium.schema import Field, Kind, Schema


def test_a_row_that_is_there_is_taken_and_one_that_is_not_has_defaults() -> None:
    found = of_rows(FIELDS, [{"income": 5, "segment": "a", "more": []}, None])
    assert shown(found) == [(5.0, "a", "nothing"), (-1.0, "unknown", "missing")]


@pytest.mark.parametrize(
    ("row", "seen"),
    [
        ({"income": 1.5}, (1.5, "unknown", "missing")),
        ({"income": None, "segment": "a"}, (-1.0, "a", "missing")),
        ({"income": "1.5", "segment": "a"}, (-1.0, "a", "wrong")),
        ({"income": True, "segment": "a"}, (-1.0, "a", "wrong")),
        ({"income": [1.0], "segment": "a"}, (-1.0, "a", "wrong")),
        ({"income": float("nan"), "segment": "a"}, (-1.0, "a", "missing")),
        ({"income": float("inf"), "segment": "a"}, (-1.0, "a", "wrong")),
        ({"income": 10**400, "segment": "a"}, (-1.0, "a", "wrong")),
        ({"income": 1.0, "segment": 7}, (1.0, "unknown", "wrong")),
        ({"income": 1.0, "segment": {"a": 1}}, (1.0, "unknown", "wrong")),
        ({"income": 1.0, "segment": ValueError("junk")}, (1.0, "unknown", "wrong")),
        ({"income": None, "segment": 7}, (-1.0, "unknown", "wrong")),
    ],
)
def test_a_value_of_another_type_is_a_default_of_its_own_field_only(
    row: dict[str, Any], seen: object
) -> None:
    assert shown(of_rows(FIELDS, [row])) == [seen]


def test_tensors_have_exactly_their_shape() -> None:
    rows = [{"place": value} for value in ([1, 2], [1.0], [[1.0, 2.0]], [1.0, None], "ab")]
    found = of_rows(Schema((PLACE,)), rows)
    assert found.columns[0].tolist() == [[1.0, 2.0], *[[0.0, 0.0]] * 4]
    assert found.why.tolist() == [Why.NOTHING, *[Why.WRONG] * 4]


def test_integers_beyond_64_bits_are_wrong() -> None:
    age = Schema((Field(name="age", type=Kind.INT, optional=True, default=-1),))
    assert shown(of_rows(age, [{"age": n} for n in (2**63 - 1, 2**63, 2**80, 1.0)])) == [
        (2**63 - 1, "nothing"),
        *[(-1, "wrong")] * 3,
    ]


def test_a_field_that_may_be_missing_keeps_nan() -> None:
    missing = Schema((Field(name="income", type=Kind.FLOAT, optional=True, missing=True),))
    found = of_arrays(missing, {"income": [1.0, np.nan]}, 2)
    assert np.isnan(found.columns[0][1])
    assert found.why.tolist() == [Why.NOTHING, Why.NOTHING]
    assert np.isnan(defaults(missing, 1, Why.LATE).columns[0]).all()


def test_arrays_have_defaults_where_they_are_no_numbers_and_are_not_written_to() -> None:
    given = np.array([1.0, np.nan, np.inf])
    found = of_arrays(Schema((INCOME,)), {"income": given}, 3)
    assert shown(found) == [(1.0, "nothing"), (-1.0, "missing"), (-1.0, "wrong")]
    assert np.isnan(given[1])


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({}, "the features that came are none; expected {income"),
        ({"income": [1.0], "more": [1.0]}, "the features that came are income, more; expected"),
        ({"income": [1.0, 2.0]}, r"'income' has the shape \[2\] for 1 rows"),
        ({"income": 1.0}, r"'income' has the shape \[\] for 1 rows"),
        ({"income": ["a"]}, "'income' is <U1, expected income: float"),
        ({"income": [None]}, "'income' is object, expected"),
        ({"income": [[1.0], [2.0, 3.0]]}, "inhomogeneous"),
    ],
)
def test_columns_that_do_not_fit_are_no_features(columns: dict[str, Any], says: str) -> None:
    with pytest.raises(FeaturesFailed, match=says):
        of_arrays(Schema((INCOME,)), columns, 1)


def test_each_request_gets_its_own_rows() -> None:
    found = of_rows(FIELDS, [{"income": n, "segment": f"s{n}"} for n in range(3)])
    first, second = completed([request("a"), request("b", "c")], found)
    assert (first.count, first.single, list(map(list, first.columns))) == (
        1,
        True,
        [["a"], [0.0], [0.0], ["s0"]],
    )
    assert (second.count, second.single) == (2, False)
    assert list(map(list, second.columns)) == [["b", "c"], [0.0, 1.0], [1.0, 2.0], ["s1", "s2"]]


def test_rows_are_taken_as_often_as_they_are_asked_for() -> None:
    found = of_rows(Schema((SEGMENT,)), [{"segment": "a"}, None])
    assert shown(found.taken(np.array([1, 0, 0]))) == [
        ("unknown", "missing"),
        ("a", "nothing"),
        ("a", "nothing"),
    ]
