"""The OpenAPI document is valid, and says of an endpoint what its schemas say."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from schemathesis.openapi import from_dict

from podium.errors import InvalidInput
from podium.protocol import openapi
from podium.protocol.oip import Contract
from podium.protocol.outcomes import OutcomeReader
from podium.records import Answer, Contender, Policy, Role
from podium.run import Limits
from podium.schema import Field, Kind, Schema
from podium.validation import Validator

INPUTS = Schema(
    (
        Field(name="bmi", type=Kind.FLOAT, minimum=-0.09, maximum=0.17),
        Field(name="age", type=Kind.INT, minimum=19.0, maximum=79.0),
        Field(name="image", type=Kind.FLOAT, shape=(2, 3)),
        Field(name="dose", type=Kind.FLOAT, missing=True, optional=True, default=0.5),
        Field(name="smoker", type=Kind.BOOL),
        Field(name="city", type=Kind.STRING),
    )
)
OUTPUTS = Schema(
    (
        Field(name="progression", type=Kind.FLOAT),
        Field(name="scores", type=Kind.FLOAT, shape=(-1,), classes=("low", "high")),
    )
)
CHAMPION = Contender(model="linear", version="9f2c1ab04d5e", number=1, role=Role.CHAMPION)
POLICY = Policy(
    endpoint="diabetes",
    revision=3,
    contenders=(CHAMPION, Contender(model="decoy", role=Role.DECOY)),
    deadline_ms=100.0,
    schedule=((0.0, ("champion",)),),
)
DOCUMENT: dict[str, Any] = json.loads(openapi.document(POLICY, INPUTS, OUTPUTS, Limits()))
ROW = {
    "bmi": 0.1,
    "age": 50,
    "image": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
    "smoker": False,
    "city": "Köln",
}


def component(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}


def fits(name: str, value: Any) -> bool:
    return jsonschema_rs.Draft202012Validator(component(name)).is_valid(value)


def refused_too(row: Any) -> bool:
    try:
        Validator(INPUTS).json(json.dumps(row).encode())
    except Exception:
        return True
    return False


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, op) for path, ops in DOCUMENT["paths"].items() for method, op in ops.items()]


def test_the_document_is_valid_openapi() -> None:
    schema = from_dict(DOCUMENT)
    schema.validate()
    assert DOCUMENT["openapi"] == "3.1.0"


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(DOCUMENT)
    for part in text.split('"$ref": "#/')[1:]:
        found: Any = DOCUMENT
        for name in part.split('"')[0].split("/"):
            found = found[name]


def test_operations_have_names_of_their_own() -> None:
    names = [op["operationId"] for _, _, op in operations()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("required", [False, True])
def test_what_may_be_refused_for_its_key_says_which_keys_it_takes(required: bool) -> None:
    document = json.loads(openapi.document(POLICY, INPUTS, OUTPUTS, Limits(), keys_required=required))
    ways = [{"key": []}, {"keyHeader": []}, *([] if required else [{}])]
    asked = {
        op["operationId"]: op.get("security")
        for ops in document["paths"].values()
        for op in ops.values()
        if "401" in op["responses"]
    }
    names = ("score", "scoreFromQuery", "outcome", "outcomes", "infer", "inferVersion")
    assert asked == dict.fromkeys(names, ways)
    assert {"key", "keyHeader"} <= document["components"]["securitySchemes"].keys()


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({}, True),
        ({"dose": None}, True),
        ({"dose": 1}, True),
        ({"bmi": None}, False),
        ({"bmi": "0.1"}, False),
        ({"age": 2**63}, False),
        ({"age": 1.5}, False),
        ({"image": [[1.0, 2.0], [4.0, 5.0]]}, False),
        ({"smoker": 1}, False),
        ({"more": 1}, False),
    ],
)
def test_the_document_takes_and_refuses_what_the_gateway_does(change: dict[str, Any], valid: bool) -> None:
    row = ROW | change
    assert fits("Row", row) is valid
    assert refused_too(row) is not valid


@pytest.mark.parametrize(
    ("outcome", "valid"),
    [
        ({"progression": 151}, True),
        ({"scores": [0.25, 0.75]}, True),
        ({"progression": 151.5, "scores": []}, True),
        ({}, False),
        ({"progression": None}, False),
        ({"progression": "151"}, False),
        ({"progresion": 151}, False),
        ([{"progression": 151}], True),
        ([], False),
        ([{}], False),
    ],
)
def test_the_document_takes_and_refuses_the_outcomes_that_the_gateway_does(outcome: Any, valid: bool) -> None:
    post = DOCUMENT["paths"]["/outcome/diabetes/{request}"]["post"]
    schema = post["requestBody"]["content"]["application/json"]["schema"]
    whole = {**schema, "components": DOCUMENT["components"]}
    assert jsonschema_rs.Draft202012Validator(whole).is_valid(outcome) is valid
    assert fits("OutcomeOf", {"id": "a", "outcome": outcome}) is (valid and isinstance(outcome, dict))
    body = json.dumps(outcome).encode()
    if valid:
        assert OutcomeReader(OUTPUTS).of_request("a", body, None)
    else:
        with pytest.raises(InvalidInput):
            OutcomeReader(OUTPUTS).of_request("a", body, None)


def test_a_missing_field_is_refused() -> None:
    assert not fits("Row", {"bmi": 0.1})


def test_examples_can_be_sent_as_they_are() -> None:
    post = DOCUMENT["paths"]["/score/diabetes"]["post"]
    example = post["requestBody"]["content"]["application/json"]["example"]
    assert fits("Row", example)
    assert not refused_too(example)
    assert example["bmi"] == pytest.approx(0.04)

    infer = DOCUMENT["components"]["schemas"]["InferRequest"]["examples"][0]
    assert fits("InferRequest", infer)
    assert Contract("diabetes", INPUTS, OUTPUTS).read(json.dumps(infer).encode(), None, Validator(INPUTS))


@given(st.booleans(), st.integers(1, 3))
def test_answers_of_the_open_inference_protocol_fit(arrays: bool, rows: int) -> None:
    contract = Contract("diabetes", INPUTS, OUTPUTS)
    example = json.dumps(DOCUMENT["components"]["schemas"]["InferRequest"]["examples"][0]).encode()
    request = contract.read(example, None, Validator(INPUTS))
    columns: dict[str, Any] = {"progression": [1.0] * rows, "scores": [[0.5, 0.5]] * rows}
    if arrays:
        columns = {name: np.array(values) for name, values in columns.items()}
    _, body = contract.write(request, Answer("id", columns, slice(0, rows), "linear", "1", "champion", 1.0))
    assert fits("InferReply", json.loads(body))
    assert fits("ModelMetadata", json.loads(contract.model_metadata([CHAMPION.name])))
    assert fits("RepositoryIndex", json.loads(contract.repository_index([CHAMPION.name])))


def test_scoring_routes_know_every_problem_that_they_can_meet() -> None:
    post = DOCUMENT["paths"]["/v2/models/diabetes/infer"]["post"]
    statuses = {int(status) for status in post["responses"]}
    assert statuses == {200, *openapi.PROBLEMS} - {403, 405}  # of training, and of other methods


def test_training_is_described_where_it_is_on() -> None:
    document = json.loads(openapi.document(POLICY, INPUTS, OUTPUTS, Limits(), training=True))
    added = document["paths"].keys() - DOCUMENT["paths"].keys()
    assert added == {"/train/diabetes/{name}"}
    assert document["paths"]["/train/diabetes/{name}"]["post"]["security"] == [{"admin": []}]


def test_what_training_saw_and_who_answers_is_written_down() -> None:
    bmi = DOCUMENT["components"]["schemas"]["Row"]["properties"]["bmi"]
    assert "-0.09 to 0.17" in bmi["description"]
    assert "linear@9f2c1ab04d5e (champion)" in DOCUMENT["info"]["description"]
    assert DOCUMENT["components"]["parameters"]["force"]["schema"]["examples"] == [CHAMPION.name]
