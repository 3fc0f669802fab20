"""Every problem that a gateway can name is an error again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from podium.client.problems import ERRORS, refusal
from podium.client.wire import Reply
from podium.errors import (
    GatewayFailed,
    InvalidInput,
    MethodNotAllowed,
    PodiumError,
    UnknownRequest,
)
from podium.gateway import problems
from podium.gateway.problems import INTERNAL, KINDS


def came(reply: Any) -> Reply:
    return Reply(reply.status, dict(reply.headers), reply.body, True)


def test_the_table_is_the_gateways_other_way_round() -> None:
    assert {kind.slug: cls for cls, kind in KINDS.items()} | {INTERNAL.slug: GatewayFailed} == ERRORS


@pytest.mark.parametrize(
    "error",
    [
        InvalidInput("'bmj' is not an input", path="$.bmj", expected="bmi: float"),
        UnknownRequest("no such request", path="path id"),
        MethodNotAllowed("/score/x takes POST or GET", ("POST", "GET")),
        *[
            cls("why")  # type: ignore[call-arg]
            for cls in KINDS
            if cls not in (InvalidInput, UnknownRequest, MethodNotAllowed)
        ],
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_comes_back_as_itself(error: PodiumError) -> None:
    found = refusal(came(problems.problem(error, "/score/x")))
    assert type(found) is type(error)
    assert str(found) == str(error)
    mine = {name: value for name, value in vars(found).items() if name != "problem"}
    assert mine == vars(error)
    assert found.problem is not None
    assert found.problem["instance"] == "/score/x"


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[1]", json.dumps({"type": "about:blank", "title": "Bad Gateway"}).encode()]
)
def test_the_words_of_something_else_are_a_failure(body: bytes) -> None:
    error = refusal(Reply(502, {}, body, False))
    assert type(error) is GatewayFailed
    assert str(error) in ("the gateway says 502", "Bad Gateway")
