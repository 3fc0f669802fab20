"""Requests at the door: what comes in fits the schema, or the caller learns where it does not."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.errors import InvalidInput, NotJSON
from podium.protocol.frames import tensor
from podium.schema import DTYPES, Field, Kind, Schema, same_shape
from podium.validation import Rows, Validator

SCALARS = Schema(
    (
        Field(name="bmi", type=Kind.FLOAT),
        Field(name="age", type=Kind.INT),
        Field(name="smokes", type=Kind.BOOL),
        Field(name="city", type=Kind.STRING),
    )
)
ONE = '"bmi": 0.05, "age": 40, "smokes": true, "city": "Linz"'
BMI = Schema((Field(name="bmi", type=Kind.FLOAT),))
GROWN = Schema(
    (
        Field(name="bmi", type=Kind.FLOAT),
        Field(name="dose", type=Kind.FLOAT, optional=True, default=1.5),
        Field(name="pair", type=Kind.INT, shape=(2,), optional=True, default=[7, 8]),
        Field(name="city", type=Kind.STRING, optional=True, default="Graz"),
    )
)
LAB = Schema((Field(name="value", type=Kind.FLOAT, missing=True),))
PIXELS = Schema((Field(name="pixels", type=Kind.FLOAT, shape=(2, 3)),))
WORDS = Schema((Field(name="words", type=Kind.STRING, shape=(-1,)),))
EVERYTHING = Schema((*SCALARS.fields, *GROWN.fields[1:3], *LAB.fields, *PIXELS.fields, *WORDS.fields))


def read(schema: Schema, body: str | bytes) -> Rows:
    return Validator(schema).json(body.encode() if isinstance(body, str) else body)


def lists(rows: Rows) -> list[list[Any]]:
    return [np.asarray(column).tolist() for column in rows.columns]


# --- what is right ----------------------------------------------------------------------------


def test_an_object_is_one_row() -> None:
    rows = read(SCALARS, f"{{{ONE}}}")
    assert (rows.count, rows.single) == (1, True)
    assert lists(rows) == [[0.05], [40], [True], ["Linz"]]


def test_a_list_of_objects_is_that_many_rows_even_if_it_is_one() -> None:
    assert (read(SCALARS, f"[{{{ONE}}}]").count, read(SCALARS, f"[{{{ONE}}}]").single) == (1, False)
    rows = read(BMI, '[{"bmi": 1}, {"bmi": -2e-3}]')
    assert (rows.count, rows.single) == (2, False)
    assert lists(rows) == [[1.0, -0.002]]


def test_an_integer_may_stand_for_a_float_and_becomes_one() -> None:
    assert isinstance(read(BMI, '{"bmi": 1}').columns[0][0], float)


def test_the_order_of_keys_does_not_matter() -> None:
    assert lists(read(SCALARS, '{"city": "Linz", "age": 40, "bmi": 0.05, "smokes": true}')) == [
        [0.05],
        [40],
        [True],
        ["Linz"],
    ]


def test_colons_in_text_are_no_keys() -> None:
    assert read(SCALARS, '{"bmi": 0.05, "age": 40, "smokes": true, "city": "a:b:c"}').columns[3][0] == "a:b:c"


def test_a_byte_order_mark_is_tolerated() -> None:
    assert lists(read(BMI, b'\xef\xbb\xbf{"bmi": 1}')) == [[1.0]]


def test_an_optional_field_that_is_not_sent_has_its_default() -> None:
    assert lists(read(GROWN, '{"bmi": 1}')) == [[1.0], [1.5], [[7, 8]], ["Graz"]]
    assert lists(read(GROWN, '[{"bmi": 1, "dose": 2}, {"bmi": 1, "pair": [1, 2]}]')) == [
        [1.0, 1.0],
        [2.0, 1.5],
        [[7, 8], [1, 2]],
        ["Graz", "Graz"],
    ]


@pytest.mark.parametrize("value", ["null", "NaN"])
def test_a_missing_value_is_nan_where_the_schema_has_missing_values(value: str) -> None:
    assert math.isnan(read(LAB, f'{{"value": {value}}}').columns[0][0])


def test_a_tensor_of_fixed_shape_becomes_an_array_with_the_rows_first() -> None:
    (pixels,) = read(PIXELS, '[{"pixels": [[1,2,3],[4,5,6]]}, {"pixels": [[0,0,0],[0,0,0]]}]').columns
    assert isinstance(pixels, np.ndarray)
    assert (pixels.shape, pixels.dtype) == ((2, 2, 3), np.dtype("<f8"))


def test_an_open_shape_takes_any_size_that_all_rows_share() -> None:
    assert lists(read(WORDS, '{"words": []}')) == [[[]]]
    assert lists(read(WORDS, '[{"words": ["a", "b"]}, {"words": ["c", "d"]}]')) == [[["a", "b"], ["c", "d"]]]


@pytest.mark.parametrize("limit", [-(2**63), 2**63 - 1])
def test_integers_are_exact_to_both_ends(limit: int) -> None:
    assert read(Schema((Field(name="n", type=Kind.INT),)), f'{{"n": {limit}}}').columns[0][0] == limit


# --- what is wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "body", "path", "expected"),
    [
        (SCALARS, f'{{{ONE}, "bim": 1}}', "$.bim", "{bmi: float, age: int"),
        (SCALARS, '{"bmi": 0.05, "age": 40, "smokes": true}', "$.city", "city: string"),
        (SCALARS, f"[{{{ONE}}}, {{}}]", "$[1].bmi", "bmi: float"),
        (SCALARS, f'{{{ONE}, "age": 41}}', "$.age", "once"),
        (BMI, '{"bmi": "0.05"}', "$.bmi", "bmi: float"),
        (BMI, '{"bmi": true}', "$.bmi", "bmi: float"),
        (BMI, '{"bmi": null}', "$.bmi", "bmi: float"),
        (BMI, '{"bmi": [1]}', "$.bmi", "bmi: float"),
        (BMI, '{"bmi": NaN}', "$.bmi", "a finite bmi: float"),
        (BMI, '{"bmi": -Infinity}', "$.bmi", "a finite bmi: float"),
        (BMI, '{"bmi": 1e400}', "$.bmi", "bmi: float"),
        (BMI, '{"bmi": 1' + "0" * 400 + "}", "$.bmi", "bmi: float"),
        (BMI, '{"bmi": 1' + "0" * 5000 + "}", "$.bmi", "bmi: float"),
        (BMI, '[{"bmi": 1}, {"bmi": "x"}]', "$[...].bmi", "bmi: float"),
        (BMI, "[]", "$", "at least one row"),
        (BMI, "3", "$", "{bmi: float}"),
        (BMI, "null", "$", "{bmi: float}"),
        (BMI, '[{"bmi": 1}, 3]', "$[1]", "{bmi: float}"),
        (BMI, "[" * 100_000, "$[0]", "{bmi: float}"),
        (BMI, '{"bmi":' * 100_000, "$.bmi", "bmi: float"),
        (SCALARS, ONE.join("{}").replace("40", "40.5"), "$.age", "age: int"),
        (SCALARS, ONE.join("{}").replace("40", str(2**63)), "$.age", "age: int"),
        (SCALARS, ONE.join("{}").replace("40", "9" * 400), "$.age", "age: int"),
        (SCALARS, ONE.join("{}").replace("true", "1"), "$.smokes", "smokes: bool"),
        (SCALARS, ONE.join("{}").replace('"Linz"', "4020"), "$.city", "city: string"),
        (PIXELS, '{"pixels": [[1,2,3]]}', "$.pixels", "pixels: float[2][3]"),
        (PIXELS, '{"pixels": [[1,2,3],[4,5]]}', "$.pixels[1]", "pixels: float[2][3]"),
        (PIXELS, '{"pixels": [[1,2,3],[4,5,null]]}', "$.pixels[1][2]", "pixels: float[2][3]"),
        (PIXELS, '{"pixels": [[1,2,3],[4,5,NaN]]}', "$.pixels", "a finite pixels"),
        (PIXELS, '{"pixels": 1}', "$.pixels", "pixels: float[2][3]"),
        (WORDS, '[{"words": ["a"]}, {"words": []}]', "$[*].words", "words: string[?]"),
    ],
)
def test_json_that_does_not_fit_is_refused_with_path_and_expectation(
    schema: Schema, body: str, path: str, expected: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(schema, body)
    assert caught.value.path == path.replace("[...]", caught.value.path[1:-4])
    assert expected in caught.value.expected
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"bmi=0.05",
        b'{"bmi": 0.05',
        b'{"bmi": 0.05} {"bmi": 0.05}',
        b"{'bmi': 0.05}",
        b'{"bmi": 0.05,}',
        b"\xff\xfe\x00",
        b'{"b\xffmi": 1}',
        '{"bmi": 1}'.encode("utf-16"),
        b"\x00" * 100,
    ],
)
def test_what_no_parser_reads_is_not_json(body: bytes) -> None:
    with pytest.raises(NotJSON, match="not JSON") as caught:
        read(BMI, body)
    assert caught.value.expected == "{bmi: float}"


@pytest.mark.parametrize("text", [r"\ud800", r"\udc00\ud800", b"\xed\xa0\x80".decode("latin-1")])
def test_half_a_surrogate_pair_is_no_text(text: str) -> None:
    with pytest.raises(NotJSON):
        read(WORDS, f'{{"words": ["{text}"]}}'.encode("latin-1"))


def test_a_field_that_is_almost_right_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"'bim' is not an input \(did you mean 'bmi'\?\)"):
        read(BMI, '{"bim": 1}')


# --- query strings ----------------------------------------------------------------------------


def test_a_query_string_is_one_row_with_json_for_tensors() -> None:
    query = "bmi=0.05&dose=2&city=St.+P%C3%B6lten&pair=" + quote("[1, 2]")
    rows = Validator(GROWN).query(query)
    assert (rows.count, rows.single) == (1, True)
    assert lists(rows) == [[0.05], [2.0], [[1, 2]], ["St. Pölten"]]


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False), ("1", True), ("0", False)])
def test_a_query_string_has_words_for_bool(text: str, value: bool) -> None:
    assert Validator(SCALARS).query(f"bmi=1&age=4&smokes={text}&city=").columns[2][0] is value


@pytest.mark.parametrize(
    ("schema", "query", "path", "expected"),
    [
        (BMI, "", "$.bmi", "bmi: float"),
        (BMI, "bmi=", "$.bmi", "bmi: float"),
        (BMI, "bmi=abc", "$.bmi", "bmi: float"),
        (BMI, "bmi=nan", "$.bmi", "a finite bmi"),
        (BMI, "bmi=inf", "$.bmi", "a finite bmi"),
        (BMI, "bmi=1e999", "$.bmi", "bmi: float"),
        (BMI, "bmi=1&bmi=2", "$.bmi", "once"),
        (BMI, "bmi=1&sex=2", "$.sex", "{bmi: float}"),
        (GROWN, "bmi=1&pair=1,2", "$.pair", "JSON for pair: int[2]"),
        (GROWN, "bmi=1&pair=[1]", "$.pair", "pair: int[2]"),
        (PIXELS, 'pixels=[[1,2,3],[4,5,"nan"]]', "$.pixels", "a finite pixels"),
    ],
)
def test_a_query_that_does_not_fit_is_refused_with_path_and_expectation(
    schema: Schema, query: str, path: str, expected: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        Validator(schema).query(query)
    assert caught.value.path == path
    assert expected in caught.value.expected


# --- arrays -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (Kind.FLOAT, np.array([0.5, 1.5], "f4")),
        (Kind.FLOAT, np.array([0.5, 1.5], ">f8")),
        (Kind.FLOAT, np.array([1, 2], "i8")),
        (Kind.FLOAT, np.array([1, 2], "u1")),
        (Kind.INT, np.array([1, 2], "i2")),
        (Kind.INT, np.array([1, 2**63 - 1], "u8")),
        (Kind.BOOL, np.array([True, False])),
        (Kind.STRING, np.array(["a", "größe"], object)),
        (Kind.STRING, np.array(["a", "größe"])),
    ],
)
def test_arrays_are_cast_where_nothing_is_lost(kind: Kind, given: np.ndarray) -> None:
    rows = Validator(Schema((Field(name="x", type=kind),))).arrays({"x": given})
    assert (rows.count, rows.single) == (2, False)
    (column,) = rows.columns
    assert isinstance(column, np.ndarray)
    assert column.dtype == DTYPES[kind]
    assert column.tolist() == given.tolist()


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (Kind.INT, np.array([1.0, 2.0])),
        (Kind.INT, np.array([True])),
        (Kind.INT, np.array([2**63], "u8")),
        (Kind.FLOAT, np.array([True])),
        (Kind.FLOAT, np.array(["1"])),
        (Kind.FLOAT, np.array(["1"], object)),
        (Kind.FLOAT, np.array([1j])),
        (Kind.FLOAT, np.array([math.nan])),
        (Kind.FLOAT, np.array([math.inf], "f4")),
        (Kind.BOOL, np.array([1])),
        (Kind.BOOL, np.array([1.0])),
        (Kind.STRING, np.array([1.0])),
        (Kind.STRING, np.array([1])),
        (Kind.STRING, np.array(["a", None], object)),
    ],
)
def test_arrays_of_another_type_are_refused(kind: Kind, given: np.ndarray) -> None:
    with pytest.raises(InvalidInput) as caught:
        Validator(Schema((Field(name="x", type=kind),))).arrays({"x": given})
    assert caught.value.path == "$.x"
    assert f"x: {kind}" in caught.value.expected or "2**63" in str(caught.value)


def test_nan_is_fine_in_an_array_where_the_schema_has_missing_values() -> None:
    (values,) = Validator(LAB).arrays({"value": np.array([math.nan, 1.0])}).columns
    np.testing.assert_array_equal(values, [math.nan, 1.0])


def test_a_column_of_one_number_each_is_a_column() -> None:
    assert lists(Validator(BMI).arrays({"bmi": np.array([[1.0], [2.0]])})) == [[1.0, 2.0]]


def test_an_optional_array_that_is_not_sent_has_its_default_in_every_row() -> None:
    assert lists(Validator(GROWN).arrays({"bmi": np.zeros(2)}))[1:] == [
        [1.5, 1.5],
        [[7, 8], [7, 8]],
        ["Graz", "Graz"],
    ]


@pytest.mark.parametrize(
    ("schema", "given", "words"),
    [
        (BMI, {}, "no rows"),
        (BMI, {"bmi": np.zeros(0)}, "no rows"),
        (BMI, {"bim": np.zeros(1)}, "did you mean 'bmi'"),
        (BMI, {"bmi": np.zeros((2, 2))}, r"rows of shape \[2\]"),
        (GROWN, {"dose": np.zeros(1)}, "'bmi' is missing"),
        (GROWN, {"bmi": np.zeros(1), "dose": np.zeros(2)}, "different numbers of rows"),
        (PIXELS, {"pixels": np.zeros((1, 3, 2))}, r"rows of shape \[3, 2\]"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(schema: Schema, given: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Validator(schema).arrays(given)


# --- whatever comes in ------------------------------------------------------------------------


def fits(rows: Rows, schema: Schema) -> None:
    """Nothing but InvalidInput and NotJSON ends a property: what fits can be put into a frame."""
    assert rows.count > 0
    for field, column in zip(schema.fields, rows.columns, strict=True):
        array = np.array(column, field.dtype)
        assert len(array) == rows.count
        assert same_shape(field.shape, array.shape[1:])
        assert field.missing or field.type is not Kind.FLOAT or np.isfinite(array).all()
        tensor(array)  # a frame can carry it


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=3),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)
numbers = st.floats(allow_nan=False, allow_infinity=False)
right: dict[str, st.SearchStrategy[Any]] = {
    "bmi": numbers,
    "age": st.integers(-(2**63), 2**63 - 1),
    "smokes": st.booleans(),
    "city": st.text(max_size=3),
    "value": st.floats() | st.none(),
    "pixels": st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=2, max_size=2),
    "words": st.lists(st.text(max_size=2), min_size=2, max_size=2),
}
optional: dict[str, st.SearchStrategy[Any]] = {"dose": numbers, "pair": st.just([1, 2])}
objects = st.fixed_dictionaries(right, optional=optional)
spoiled = st.builds(
    lambda row, more: row | more, objects, st.dictionaries(st.sampled_from([*right, "x"]), values)
)
documents = objects | spoiled | st.lists(objects | spoiled, max_size=3) | values


@given(documents, st.booleans())
def test_whatever_json_comes_in_it_fits_the_schema_or_is_refused(document: Any, ascii_only: bool) -> None:
    body = json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    with suppress(InvalidInput, NotJSON):
        fits(Validator(EVERYTHING).json(body), EVERYTHING)


@given(st.binary(max_size=60))
def test_whatever_bytes_come_in_they_fit_the_schema_or_are_refused(body: bytes) -> None:
    with suppress(InvalidInput, NotJSON):
        fits(Validator(BMI).json(body), BMI)


@settings(max_examples=50)
@given(
    st.dictionaries(st.sampled_from([*right, *optional, "x"]), values.map(json.dumps) | st.text(max_size=4))
)
def test_whatever_query_comes_in_it_fits_the_schema_or_is_refused(given: dict[str, str]) -> None:
    for schema in (GROWN, PIXELS, EVERYTHING):
        with suppress(InvalidInput):
            fits(Validator(schema).query(urlencode(given, errors="replace")), schema)


ARRAYS = [
    np.full(shape, filling, dtype)
    for shape in [(1,), (2,), (2, 1), (2, 2), (1, 2, 3), (2, 0)]
    for dtype, filling in [
        ("f8", 0.5),
        ("f4", math.nan),
        ("i8", -1),
        ("u8", 2**64 - 1),
        ("bool", True),
        ("U2", "1"),
        ("O", "1"),
        ("O", 1),
        ("c8", 1),
        ("M8[s]", 1),
    ]
]


@pytest.mark.parametrize("schema", [BMI, LAB, PIXELS, WORDS, Schema(SCALARS.fields[1:2])])
def test_whatever_array_comes_in_it_fits_the_schema_or_is_refused(schema: Schema) -> None:
    for array in ARRAYS:
        with suppress(InvalidInput):
            fits(Validator(schema).arrays({schema.names[0]: array}), schema)
