"""Each datatype, as JSON and as bytes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as shapes

from podium.errors import InvalidInput
from podium.protocol.oip_tensors import (
    DATATYPES,
    OF_KIND,
    fitting,
    from_binary,
    from_json,
    shape_of,
    to_binary,
    to_json,
)
from podium.schema import DTYPES, Field, Kind

NUMBERS = [name for name in DATATYPES if name != "BYTES"]


@given(st.data())
@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_survive_json_and_bytes(name: str, data: st.DataObject) -> None:
    datatype = DATATYPES[name]
    shape = data.draw(shapes.array_shapes(max_dims=3, max_side=4))
    values = data.draw(shapes.arrays(datatype.dtype, shape))

    binary = from_binary(datatype, memoryview(values.tobytes()), shape, "$")
    np.testing.assert_array_equal(binary, values)
    for form in (values.tolist(), values.ravel().tolist()):
        found = from_json(datatype, form, shape, "$")
        assert found.dtype in (*DTYPES.values(), np.dtype("u8"))
        np.testing.assert_array_equal(found, values.astype(found.dtype))


@given(st.lists(st.text(), min_size=1))
def test_strings_survive_json_and_bytes(texts: list[str]) -> None:
    datatype, shape = DATATYPES["BYTES"], [len(texts), 1]
    field = Field(name="x", type=Kind.STRING)
    encodable = [text.encode(errors="replace").decode() for text in texts]

    assert from_json(datatype, encodable, shape, "$").ravel().tolist() == encodable
    packed = memoryview(to_binary(field, encodable))
    assert from_binary(datatype, packed, shape, "$").ravel().tolist() == encodable


@pytest.mark.parametrize("name", NUMBERS)
def test_the_wrong_number_of_bytes_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="do not fill"):
        from_binary(DATATYPES[name], memoryview(bytes(33)), [4], "$")


@pytest.mark.parametrize(
    "data", [b"\x01", b"\x05\0\0\0abc", b"\x01\0\0\0a\x01", b"\xff\xff\xff\xffa", b"\x01\0\0\0\xff"]
)
def test_strings_that_are_cut_off_or_not_text_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        from_binary(DATATYPES["BYTES"], memoryview(data), [1], "$")


def test_another_number_of_strings_than_the_shape_says_is_refused() -> None:
    with pytest.raises(InvalidInput, match="1 strings"):
        from_binary(DATATYPES["BYTES"], memoryview(b"\x01\0\0\0a"), [2], "$")


@pytest.mark.parametrize(
    "data", [["a", ["b"]], [["a"], "b"], [["a"], ["b", "c"]], [["a"], []], [[["a"]], [["b"]]]]
)
def test_ragged_and_mixed_nesting_is_refused(data: list[Any]) -> None:
    with pytest.raises(InvalidInput):
        from_json(DATATYPES["BYTES"], data, [2, 1], "$")


def test_every_kind_has_a_datatype_and_takes_it() -> None:
    for kind in Kind:
        assert kind in DATATYPES[OF_KIND[kind]].fits
        assert fitting(Field(name="x", type=kind)).split(" or ")[0] == OF_KIND[kind]


def test_floats_never_become_integers() -> None:
    assert not any(name.startswith("FP") and Kind.INT in d.fits for name, d in DATATYPES.items())


@pytest.mark.parametrize("values", [np.arange(6.0).reshape(3, 2), [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]])
def test_outputs_may_be_arrays_or_lists(values: Any) -> None:
    field = Field(name="y", type=Kind.FLOAT, shape=(2,))
    assert shape_of(values) == [3, 2]
    assert to_json(values) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert to_binary(field, values) == np.arange(6.0).tobytes()
    assert math.prod(shape_of(values)) == len(to_json(values))
