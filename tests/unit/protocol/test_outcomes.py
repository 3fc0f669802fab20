"""Outcomes as clients send them: what is known of the outputs, or where it does not fit."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.errors import InvalidInput, NotJSON
from podium.protocol import outcomes as outcomes_module
from podium.protocol.frames import unpack
from podium.protocol.outcomes import OutcomeReader, loads, packed, plain, shown_time
from podium.records import Outcome
from podium.schema import Field, Kind, Schema

OUTPUTS = Schema(
    (
        Field(name="progression", type=Kind.FLOAT),
        Field(name="grade", type=Kind.STRING),
        Field(name="pair", type=Kind.FLOAT, shape=(2,)),
        Field(name="lab", type=Kind.FLOAT, missing=True),
    )
)
READER = OutcomeReader(OUTPUTS)
NOON = 1_795_521_600_000_000


def of_request(body: Any, observed: str | None = None) -> list[Outcome]:
    return READER.of_request("mine", json.dumps(body).encode(), observed)


def of_many(*items: dict[str, Any]) -> list[Outcome]:
    return READER.of_many(json.dumps(items).encode())


# --- of one request -------------------------------------------------------------------------


def test_any_output_alone_is_an_outcome() -> None:
    for name, value in {"progression": 151.0, "grade": "good", "lab": 3.5}.items():
        (outcome,) = of_request({name: value})
        assert (outcome.id, outcome.row, outcome.observed, outcome.values) == ("mine", 0, None, {name: value})


def test_a_list_is_the_requests_rows_in_their_order() -> None:
    found = of_request([{"progression": 1}, {"grade": "bad"}])
    assert [(outcome.row, outcome.values) for outcome in found] == [
        (0, {"progression": 1.0}),
        (1, {"grade": "bad"}),
    ]


def test_a_missing_value_is_nan_where_the_schema_has_missing_values() -> None:
    (outcome,) = of_request({"lab": None})
    assert math.isnan(outcome.values["lab"])


@pytest.mark.parametrize(
    "text", ["2026-11-24T12:00:00Z", "2026-11-24T13:00:00+01:00", " 2026-11-24t12:00:00.000000z"]
)
def test_the_header_says_when_it_was_observed(text: str) -> None:
    (outcome,) = of_request({"progression": 1}, text)
    assert outcome.observed == NOON
    assert shown_time(NOON) == "2026-11-24T12:00:00Z"


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-11-24", "2026-11-24T12:00:00", "1795521600", "2026-13-01T00:00:00Z"]
)
def test_a_time_that_could_mean_several_or_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as found:
        of_request({"progression": 1}, text)
    assert found.value.path == "header podium-observed"
    assert "2026-11-24T12:00:00Z" in found.value.expected


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        ("{}", "$", "no output is given"),
        ("[]", "$", "an empty list has no rows"),
        ("[{}]", "$[0]", "no output is given"),
        ('{"progresion": 1}', "$.progresion", "'progresion' is not an output (did you mean 'progression'?)"),
        ('{"progression": "1"}', "$.progression", "Expected `float`, got `str`"),
        ('{"progression": null}', "$.progression", "Expected `float`, got `null`"),
        ('[{"grade": "a"}, {"grade": 1}]', "$[1].grade", "Expected `str`, got `int`"),
        ('{"progression": NaN}', "$.progression", "'progression' is NaN or infinite"),
        ('[{"lab": 1}, {"progression": 1e999}]', "$[1].progression", "Number out of range"),
        ('[{"lab": 1}, {"progression": Infinity}]', "$[1].progression", "'progression' is NaN or infinite"),
        ('{"pair": [1]}', "$.pair", "Expected `array` of length"),
        ('{"progression": 1, "progression": 2}', "$.progression", "'progression' is given twice"),
        ("151", "$", "Expected `object | array`"),
    ],
)
def test_what_does_not_fit_is_refused_with_path_and_expectation(body: str, path: str, words: str) -> None:
    with pytest.raises(InvalidInput) as found:
        READER.of_request("mine", body.encode(), None)
    assert found.value.path == path
    assert words in str(found.value)
    assert found.value.expected


@pytest.mark.parametrize("body", [b"", b"progression=151", b"[", b"\xff"])
def test_what_no_parser_reads_is_not_json(body: bytes) -> None:
    for read in (lambda: READER.of_request("mine", body, None), lambda: READER.of_many(body)):
        with pytest.raises(NotJSON):
            read()


# --- of many --------------------------------------------------------------------------------


def test_many_name_their_request_and_perhaps_row_and_time() -> None:
    found = of_many(
        {"id": "a", "outcome": {"progression": 1}},
        {"id": "b", "row": 2, "observed": "2026-11-24T12:00:00Z", "outcome": {"grade": "bad"}},
        {"id": "b", "outcome": {"grade": "good"}, "observed": None},
    )
    assert [(each.id, each.row, each.observed, each.values) for each in found] == [
        ("a", 0, None, {"progression": 1.0}),
        ("b", 2, NOON, {"grade": "bad"}),
        ("b", 0, None, {"grade": "good"}),
    ]


@pytest.mark.parametrize(
    ("item", "path", "words"),
    [
        ({"outcome": {"lab": 1}}, "$[1]", "missing required field `id`"),
        ({"id": "b"}, "$[1]", "missing required field `outcome`"),
        ({"id": "", "outcome": {"lab": 1}}, "$[1].id", "Expected `str` matching regex"),
        ({"id": "\n", "outcome": {"lab": 1}}, "$[1].id", "Expected `str` matching regex"),
        ({"id": "b", "outcome": {}}, "$[1].outcome", "no output is given"),
        ({"id": "b", "outcome": {"labb": 1}}, "$[1].outcome.labb", "not an output (did you mean 'lab'?)"),
        ({"id": "b", "outcome": {"lab": "1"}}, "$[1].outcome.lab", "Expected `float"),
        ({"id": "b", "outcome": {"lab": 1}, "row": -1}, "$[1].row", "Expected `int` >= 0"),
        ({"id": "b", "outcome": {"lab": 1}, "row": "1"}, "$[1].row", "Expected `int`, got `str`"),
        ({"id": "b", "outcome": {"lab": 1}, "observed": "x"}, "$[1].observed", "Invalid RFC3339"),
        ({"id": "b", "outcome": {"lab": 1}, "time": 1}, "$[1]", "'time' is not a member"),
        ({"id": "b", "lab": 1, "outcome": {}}, "$[1]", "'lab' is not a member"),
        ({"id": "a", "outcome": {"lab": 1}}, "$[1]", "row 0 of 'a' has an outcome at $[0] already"),
    ],
)
def test_one_of_many_that_does_not_fit_is_refused_with_its_place(
    item: dict[str, Any], path: str, words: str
) -> None:
    with pytest.raises(InvalidInput) as found:
        of_many({"id": "a", "outcome": {"lab": 0}}, item)
    assert found.value.path == path
    assert words.lower() in str(found.value).lower()
    assert found.value.expected


@pytest.mark.parametrize("body", [b"{}", b'{"id": "a", "outcome": {"lab": 1}}', b"[]", b"[1]", b"null"])
def test_many_are_a_list(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        READER.of_many(body)


# --- into frames ----------------------------------------------------------------------------


@st.composite
def many(draw: st.DrawFn) -> list[Outcome]:
    finite = st.floats(allow_nan=False, allow_infinity=False)
    values = {
        "progression": finite,
        "grade": st.text(max_size=3),
        "pair": st.tuples(finite, finite).map(np.array),
    }
    subsets = st.fixed_dictionaries({}, optional=values).filter(bool)
    drawn = draw(st.lists(subsets, min_size=1, max_size=8))
    return [Outcome(id=f"r{n}", row=n % 3, values=known) for n, known in enumerate(drawn)]


@given(many(), st.integers(1, 3))
def test_every_outcome_is_in_one_frame_with_just_its_own_outputs(given: list[Outcome], rows: int) -> None:
    whole = outcomes_module.ROWS_PER_FRAME
    outcomes_module.ROWS_PER_FRAME = rows
    try:
        groups = list(loads(given))
    finally:
        outcomes_module.ROWS_PER_FRAME = whole
    assert all(len(group) <= rows for group in groups)
    seen = {}
    for group in groups:
        columns = unpack(packed(OUTPUTS, group))
        for index, outcome in enumerate(group):
            seen[outcome.id] = {name: column[index] for name, column in columns.items()}
    assert seen.keys() == {outcome.id for outcome in given}
    for outcome in given:
        assert plain(seen[outcome.id]) == plain(outcome.values)
