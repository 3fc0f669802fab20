"""Columns by reference: which ones, and that what comes back is what was put."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from podium.errors import BadInput, BodyLost
from podium.protocol import large
from podium.protocol.frames import Tensor, array, tensor

IMAGE = tensor(np.arange(6.0).reshape(1, 2, 3))
TEXT = tensor(np.array(["größe", ""], object))


def test_the_largest_columns_go_until_the_rest_fits() -> None:
    columns = {
        name: tensor(np.zeros(size)) for name, size in (("a", 10), ("b", 1000), ("c", 100), ("d", 500))
    }
    assert large.chosen(columns, 20_000) == []
    assert large.chosen(columns, 8_000) == ["b"]
    assert large.chosen(columns, 900) == ["b", "d"]
    assert large.chosen(columns, 0) == ["b", "d", "c", "a"]


@pytest.mark.parametrize("text", ["a" * 100, "ä" * 100, "日" * 100, "🙂" * 100, ""])
def test_a_string_is_never_larger_than_was_thought(text: str) -> None:
    assert len(large.content(tensor(np.array([text], object)))) <= large.size(Tensor("str", (1,), [text])) + 1


@pytest.mark.parametrize("packed", [IMAGE, TEXT])
def test_a_column_comes_back_as_it_was(packed: Tensor) -> None:
    content = large.content(packed)
    assert large.restored(large.emptied(packed), large.reference(content), content) == packed


def test_whoever_does_not_know_references_refuses_the_column() -> None:
    for packed in (IMAGE, TEXT):
        with pytest.raises(BadInput):
            array(large.emptied(packed))


def test_other_bytes_than_the_digests_are_lost() -> None:
    content = large.content(IMAGE)
    reference = large.reference(content)
    for wrong in (content[:-1], bytes(len(content)), content + b"\0"):
        with pytest.raises(BodyLost, match="not the bytes that its digest names"):
            large.restored(large.emptied(IMAGE), reference, wrong)


def test_an_object_that_is_no_such_column_is_lost() -> None:
    content = large.content(IMAGE)
    for packed in (Tensor("f8", (1, 7), b""), Tensor("str", (1,), [])):
        with pytest.raises(BodyLost, match="is no column"):
            large.restored(packed, large.reference(content), content)


def test_no_two_objects_have_the_same_name() -> None:
    first, second = large.reference(b"same"), large.reference(b"same")
    assert first.object != second.object
    assert replace(first, object="") == replace(second, object="")
