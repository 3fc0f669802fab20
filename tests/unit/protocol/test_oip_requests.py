"""Bodies as they are on the wire, before any schema."""

from __future__ import annotations

import json

import pytest

from podium.errors import InvalidInput, NotJSON
from podium.protocol.oip_requests import RequestReader

READER = RequestReader(depth=3)


def test_the_datatype_may_stand_anywhere_in_an_input() -> None:
    _, arrays = READER.read(
        b'{"inputs": [{"data": [1, 2], "shape": [2], "name": "x", "datatype": "INT8"}]}', None
    )
    assert arrays["x"].tolist() == [1, 2]


def test_members_that_nobody_knows_are_passed_over() -> None:
    request, _ = READER.read(
        b'{"inputs": [{"name": "x", "shape": [1], "datatype": "BOOL", "data": [true],'
        b' "parameters": {"content_type": "np"}}], "parameters": {"sequence_id": 7}, "more": 1}',
        None,
    )
    assert request.parameters is not None


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"x":' + b"[" * 100_000, b'{"inputs": nan}'])
def test_what_is_not_json_is_said_to_be_not_json(body: bytes) -> None:
    with pytest.raises(NotJSON):
        READER.read(body, None)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ([], "$"),
        ({}, "$"),
        ({"inputs": 1}, "$.inputs"),
        ({"inputs": [{}]}, "$.inputs[0]"),
        ({"inputs": [], "id": 5}, "$.id"),
        ({"inputs": [], "outputs": [{}]}, "$.outputs[0]"),
        ({"inputs": [], "parameters": {"binary_data_output": "yes"}}, "$.parameters.binary_data_output"),
    ],
)
def test_json_of_another_form_is_refused_with_its_path(body: object, path: str) -> None:
    with pytest.raises(InvalidInput) as found:
        READER.read(json.dumps(body).encode(), None)
    assert found.value.path == path
    assert found.value.expected


def test_binary_data_without_the_header_says_which_header() -> None:
    body = {
        "inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "parameters": {"binary_data_size": 8}}]
    }
    with pytest.raises(InvalidInput) as found:
        READER.read(json.dumps(body).encode(), None)
    assert "inference-header-content-length" in found.value.expected
