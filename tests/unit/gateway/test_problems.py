"""Every fact that a request can meet has a status, and no problem says too much."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from podium import errors
from podium.errors import (
    InvalidInput,
    MethodNotAllowed,
    NobodyInTime,
    NotFound,
    PodiumError,
    Stopping,
    TooManyRequests,
    UnknownEncoding,
)
from podium.gateway import problems
from podium.gateway.problems import INTERNAL, KINDS, internal_error, kind_of, problem
from podium.protocol import docs_page, openapi

OF_OTHERS = (
    errors.ProjectError,
    errors.MissingExtra,
    errors.ArchiveError,
    errors.PackageError,
    errors.RegistryError,
    errors.NodeError,
    errors.ClusterError,
    errors.ImageError,
    errors.ModelFailed,
    errors.FeaturesFailed,
    errors.BodyLost,
    errors.PolicyError,
    errors.Unreachable,
    errors.GatewayFailed,
)
"""What is met at a command line, or by a client, and a request never meets."""


def all_errors() -> Iterator[type[PodiumError]]:
    for _, found in inspect.getmembers(errors, inspect.isclass):
        if issubclass(found, PodiumError) and found is not PodiumError:
            yield found


@pytest.mark.parametrize("cls", [cls for cls in all_errors() if not issubclass(cls, OF_OTHERS)])
def test_every_error_of_a_request_has_an_entry(cls: type[PodiumError]) -> None:
    assert cls in KINDS


@pytest.mark.parametrize("cls", OF_OTHERS)
def test_an_error_of_others_is_internal_to_a_request(cls: type[PodiumError]) -> None:
    error = cls("secret", "extra") if cls is errors.MissingExtra else cls("secret")  # type: ignore[call-arg]
    assert b"secret" not in problem(error, "/score/x").body
    assert problem(error, "/score/x").status == 500


def test_a_problem_says_what_where_and_what_was_expected() -> None:
    error = InvalidInput("'bmi' is missing", path="$.bmi", expected="bmi: float")
    reply = problem(error, "/score/diabetes")

    assert reply.status == 422
    assert ("content-type", "application/problem+json") in reply.headers
    assert json.loads(reply.body) == {
        "type": "/docs/problems#invalid-input",
        "title": "The input does not fit the schema",
        "status": 422,
        "detail": "'bmi' is missing",
        "instance": "/score/diabetes",
        "path": "$.bmi",
        "expected": "bmi: float",
    }


def test_clients_of_the_open_inference_protocol_find_their_error_member() -> None:
    found = json.loads(problem(NotFound("no such model"), "/v2/models/x").body)
    assert found["error"] == found["detail"] == "no such model"
    assert "error" not in json.loads(problem(NotFound("no such model"), "/score/x").body)


@pytest.mark.parametrize(
    ("error", "status", "header"),
    [
        (MethodNotAllowed("no", ("GET", "POST")), 405, ("allow", "GET, POST")),
        (UnknownEncoding("no"), 415, ("accept-encoding", "gzip, deflate")),
        (TooManyRequests("no"), 429, ("retry-after", "1")),
        (Stopping("no"), 503, ("retry-after", "1")),
    ],
)
def test_headers_say_what_to_do(error: PodiumError, status: int, header: tuple[str, str]) -> None:
    reply = problem(error, "/score/x")
    assert reply.status == status
    assert header in reply.headers


def test_a_subclass_is_what_its_class_is() -> None:
    class NobodyAtAll(NobodyInTime):
        pass

    assert kind_of(NobodyAtAll("no")).status == 504


def test_an_unknown_exception_leaks_nothing() -> None:
    reply = internal_error("/score/x")
    found: dict[str, Any] = json.loads(reply.body)
    assert (reply.status, found["status"]) == (500, 500)
    assert found["detail"] == "the gateway failed; its log says how"


def test_every_problem_is_explained_where_its_type_points() -> None:
    page = docs_page.asset(problems.TYPE_PAGE.removeprefix("/docs/")).content.decode()
    explained = dict(re.findall(r'<h2 id="([a-z-]+)">(\d+): ', page))
    assert explained == {kind.slug: str(kind.status) for kind in (*KINDS.values(), INTERNAL)}


def test_the_openapi_document_knows_every_status() -> None:
    assert set(openapi.PROBLEMS) == {kind.status for kind in (*KINDS.values(), INTERNAL)}
