"""`podium check` of servers: one that keeps its protocol passes, and each fault is found and explained."""

from __future__ import annotations

import json

import pytest
from bench.ports import free_port

from podium.models.checks import Check, Verdict
from podium.models.examples import Examples, examples_of
from podium.models.server.conformance import CHECKS, Suite
from podium.models.server.doors import door_of
from podium.schema import Field, Kind, Schema
from podium.servers import Server

from .fake import Behaviour, Handler, doubled, fake

Y = Schema((Field(name="y", type=Kind.FLOAT),))
EXAMPLES = examples_of({"x": [0.5, 1.5, 2.5]})


def checked(url: str, protocol: str = "vertex", examples: Examples = EXAMPLES) -> dict[str, Check]:
    route, layout = ("/v1/models/m:predict", "objects") if protocol == "vertex" else ("", "")
    server = Server(url=url + route, protocol=protocol, layout=layout)
    suite = Suite(server.url, door_of(server, examples.inputs, Y), Y, examples, connections=4)
    return {made.name: made for made in suite.run()}


def failed(made: dict[str, Check]) -> set[str]:
    return {name for name, check in made.items() if check.verdict is Verdict.FAILED}


@pytest.mark.parametrize("protocol", ["vertex", "json"])
def test_a_server_that_keeps_its_protocol_passes(protocol: str) -> None:
    with fake(doubled) as server:
        made = checked(server.url, protocol)
    assert list(made) == [named.name for named in CHECKS]
    assert failed(made) == set()
    assert (made["a large frame"].verdict is Verdict.OK) == (protocol == "vertex")


def test_where_nobody_listens_only_that_is_said() -> None:
    made = checked(f"http://127.0.0.1:{free_port()}")
    assert failed(made) == {"address"}
    assert "start the server" in made["address"].todo
    assert {check.verdict for name, check in made.items() if name != "address"} == {Verdict.SKIPPED}


def unhealthy(handler: Handler) -> None:
    handler.json({}, status=503) if handler.command == "GET" else doubled(handler)


def remembers(handler: Handler) -> None:
    """The first row's score for all rows."""
    if handler.command == "GET":
        return doubled(handler)
    rows = json.loads(handler.body).get("instances")
    if rows is None:
        return handler.json({}, status=400)
    return handler.json({"predictions": [rows[0]["x"]] * len(rows)})


def one(handler: Handler) -> None:
    """A score for the first row only."""
    if handler.command == "GET" or "instances" not in json.loads(handler.body):
        return doubled(handler)
    return handler.json({"predictions": [json.loads(handler.body)["instances"][0]["x"]]})


def agreeable(handler: Handler) -> None:
    """A score for whatever it is asked."""
    if handler.command == "GET" or "instances" in json.loads(handler.body):
        return doubled(handler)
    return handler.json({"predictions": [0.0]})


def nothing(handler: Handler) -> None:
    """No score for some rows."""
    if handler.command == "GET" or "instances" not in json.loads(handler.body):
        return doubled(handler)
    rows = json.loads(handler.body)["instances"]
    return handler.json({"predictions": [None if row["x"] > 2 else 0.5 for row in rows]})


@pytest.mark.parametrize(
    ("behave", "names"),
    [
        (unhealthy, {"health"}),
        (remembers, {"rows alone and together"}),
        (one, {"many rows", "rows alone and together", "a large frame"}),
        (agreeable, {"nonsense"}),
        (nothing, {"many rows", "rows alone and together", "a large frame"}),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_each_fault_is_found_and_says_what_to_do(behave: Behaviour, names: set[str]) -> None:
    with fake(behave) as server:
        made = checked(server.url)
    assert failed(made) == names
    assert all(made[name].todo for name in names)


def test_texts_and_missing_numbers_are_tried_where_the_schema_has_them() -> None:
    inputs = Schema(
        (
            Field(name="x", type=Kind.FLOAT, missing=True),
            Field(name="town", type=Kind.STRING),
        )
    )

    def zero(handler: Handler) -> None:
        rows = json.loads(handler.body)["instances"] if handler.command == "POST" else []
        handler.json({"predictions": [row["x"] or 0.0 for row in rows]})

    with fake(zero) as server:
        made = checked(server.url, examples=examples_of(inputs))
    assert made["text"].verdict is Verdict.OK
    assert made["missing values"].verdict is Verdict.OK
