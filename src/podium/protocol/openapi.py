"""OpenAPI 3.1 of one endpoint's HTTP routes, typed by its schemas."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import msgspec

from podium.jobs import JobState
from podium.protocol.oip_requests import HEADER
from podium.protocol.openapi_schemas import (
    REQUEST_ID,
    STRING,
    TIME,
    JsonSchema,
    example_row,
    infer_reply,
    infer_request,
    outcome_schemas,
    record,
    ref,
    row,
    rows_or_row,
    tensor_metadata,
    value,
)
from podium.protocol.outcomes import HEADER as OBSERVED
from podium.records import Policy
from podium.run import Limits
from podium.schema import Field, Schema

Part = dict[str, Any]
JSON = "application/json"
BINARY = "application/octet-stream"
PROBLEM = "application/problem+json"

PROBLEMS = {
    400: "The body is not JSON, or not what its `content-encoding` says.",
    401: "A key is needed, and the one given is missing or wrong.",
    403: "It is switched off here; `detail` says how it is switched on.",
    404: "No such name; `detail` lists those that exist.",
    405: "The route does not take this method.",
    408: "The body did not arrive in time.",
    413: "The body is over the limit.",
    415: "The body's compression is not known.",
    422: "The input does not fit the schema: `path` points at what, `expected` says what would.",
    429: "Too many requests are in flight, or more than the caller's key lets in.",
    500: "The gateway failed; its log says how.",
    503: "Not now: stopping, not ready, or the message stream is away.",
    504: "Nobody answered in time, and the endpoint has no default answer.",
}
SCHEMES: dict[str, Part] = {
    "key": {"type": "http", "scheme": "bearer", "description": "A caller's key."},
    "keyHeader": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key."},
}
_HEADERS_OF: dict[int, Part] = {
    401: {"WWW-Authenticate": {"required": True, "schema": STRING}},
    405: {"Allow": {"required": True, "schema": STRING}},
    415: {"Accept-Encoding": {"required": True, "schema": STRING}},
    429: {"Retry-After": {"required": True, "schema": {"type": "integer"}}},
    503: {"Retry-After": {"required": True, "schema": {"type": "integer"}}},
}
_SCORING = (401, 404, 422, 429, 500, 503, 504)
_TAKING = (401, 404, 422, 429, 500, 503)
_WITH_BODY = (400, 408, 413)


def document(
    policy: Policy,
    inputs: Schema,
    outputs: Schema,
    limits: Limits,
    *,
    training: bool = False,
    keys_required: bool = False,
) -> bytes:
    """The document, as JSON, for `GET /openapi.json`; with the routes of `training` where they are on."""
    title = policy.endpoint
    champion = policy.champion.name
    asking = _score_paths(policy, inputs) | _outcome_paths(policy, outputs) | _inference_paths(policy)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": title,
                "version": f"{version('podium')}+revision.{policy.revision}",
                "summary": f"Scores of the endpoint {title!r}, answered by {champion} and its contenders.",
                "description": _about(policy, limits),
            },
            "tags": [
                {"name": "score", "description": "Rows in, answers out."},
                {"name": "outcome", "description": "What really happened, for the archive."},
                {"name": "open inference", "description": "Open Inference Protocol v2."},
                {"name": "training", "description": "New versions, for whoever has the admin key."},
                {"name": "service", "description": "Health, metrics, this document."},
            ],
            "paths": _with_keys(asking, required=keys_required)
            | (_training_paths(policy) if training else {})
            | _service_paths(),
            "components": {
                "schemas": _schemas(inputs, outputs),
                "parameters": _parameters(policy),
                "responses": {f"Problem{status}": _problem(status) for status in PROBLEMS},
                "securitySchemes": {
                    **SCHEMES,
                    "admin": {"type": "http", "scheme": "bearer", "description": "The admin key."},
                },
            },
        }
    )


def _about(policy: Policy, limits: Limits) -> str:
    contenders = ", ".join(f"{contender.name} ({contender.role.value})" for contender in policy.contenders)
    default = "the default answer" if policy.default is not None else "status 504"
    return (
        f"Every request goes to all contenders: {contenders}. The first score that the policy accepts is the "
        f"answer; after {policy.deadline_ms:g} ms it is {default}. Bodies may have "
        f"{limits.body_bytes} bytes, {limits.in_flight} requests may be in flight."
    )


# --- paths ----------------------------------------------------------------------------------


def _score_paths(policy: Policy, inputs: Schema) -> Part:
    post = {
        "operationId": "score",
        "tags": ["score"],
        "summary": "Score a row, or a list of rows",
        "description": "A list is one request, and its answer is a list.",
        "parameters": _scoring_headers(),
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": rows_or_row("Row"), "example": example_row(inputs)}},
        },
        "responses": _scored("Scored") | _problems(*_WITH_BODY, *_SCORING),
    }
    get = {
        "operationId": "scoreFromQuery",
        "tags": ["score"],
        "summary": "Score one row from the address bar",
        "parameters": [_query(field) for field in inputs.fields] + _scoring_headers(),
        "responses": _scored("Scored") | _problems(*_SCORING),
    }
    return {f"/score/{policy.endpoint}": {"post": post, "get": get}}


def _with_keys(paths: Part, *, required: bool) -> Part:
    """The same paths; what answers 401 takes a caller's key, or also none."""
    ways: list[Part] = [{name: []} for name in SCHEMES]
    security = {"security": ways if required else [*ways, {}]}
    return {
        path: {
            method: operation | (security if "401" in operation["responses"] else {})
            for method, operation in operations.items()
        }
        for path, operations in paths.items()
    }


def _query(field: Field) -> Part:
    """A query parameter; a tensor is written as JSON."""
    schema = value(field)
    if not field.shape and field.missing:
        schema["type"] = schema["type"][0]  # a query has no null: a missing value is not sent
    typed = {"content": {JSON: {"schema": schema}}} if field.shape else {"schema": schema}
    return {"name": field.name, "in": "query", "required": not field.optional, **typed}


def _outcome_paths(policy: Policy, outputs: Schema) -> Part:
    one = {
        "operationId": "outcome",
        "tags": ["outcome"],
        "summary": "What really happened after a request",
        "description": "A request of several rows takes a list. A second outcome corrects the first.",
        "parameters": [ref("request", "parameters"), ref("observed", "parameters")],
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": rows_or_row("Truth"), "example": example_row(outputs)}},
        },
        "responses": _taken("Outcome") | _problems(*_WITH_BODY, *_TAKING),
    }
    many = {
        "operationId": "outcomes",
        "tags": ["outcome"],
        "summary": "What really happened after many requests",
        "description": "All of them are taken, or none.",
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": {"type": "array", "items": ref("OutcomeOf"), "minItems": 1}}},
        },
        "responses": _taken("Outcomes") | _problems(*_WITH_BODY, *_TAKING),
    }
    path = f"/outcome/{policy.endpoint}"
    return {path: {"post": many}, f"{path}/{{request}}": {"post": one}}


def _taken(schema: str) -> Part:
    unchecked = "Taken; whether the request exists cannot be told now, since the archive is behind or away."
    return {"200": _ok(schema), "202": _ok(schema) | {"description": unchecked}}


def _inference_paths(policy: Policy) -> Part:
    model = f"/v2/models/{policy.endpoint}"
    of_version = f"{model}/versions/{{version}}"
    versioned = [ref("version", "parameters")]
    return {
        f"{model}/infer": {"post": _infer("infer", "Score tensors", [])},
        f"{of_version}/infer": {"post": _infer("inferVersion", "That contender's own score", versioned)},
        model: {"get": _get("model", "The endpoint's inputs, outputs and contenders", "ModelMetadata")},
        of_version: {"get": _get("version", "The same, of one contender", "ModelMetadata", versioned)},
        f"{model}/ready": {"get": _get("modelReady", "Whether it answers", "ModelReady", problems=(503,))},
        f"{of_version}/ready": {
            "get": _get("versionReady", "Whether it answers", "ModelReady", versioned, problems=(503,))
        },
        "/v2": {"get": _get("server", "This server", "ServerMetadata")},
        "/v2/health/live": {"get": _get("serverLive", "Whether it runs", "ServerLive")},
        "/v2/health/ready": {
            "get": _get("serverReady", "Whether it answers", "ServerReady", problems=(503,))
        },
        "/v2/repository/index": {"post": _get("index", "The contenders", "RepositoryIndex")},
    }


def _infer(name: str, summary: str, parameters: list[Part]) -> Part:
    length = {"type": "integer", "minimum": 0}
    header = {
        "name": HEADER,
        "in": "header",
        "required": False,
        "description": "The length of the JSON, where binary tensors follow it.",
        "schema": length,
    }
    responses = _scored("InferReply")
    responses["200"]["content"][BINARY] = {"schema": {"type": "string", "format": "binary"}}
    responses["200"]["headers"][HEADER] = {"schema": length}
    return {
        "operationId": name,
        "tags": ["open inference"],
        "summary": summary,
        "parameters": [*parameters, header, *_scoring_headers()],
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": ref("InferRequest")},
                BINARY: {"schema": {"type": "string", "format": "binary"}},
            },
        },
        "responses": responses | _problems(*_WITH_BODY, 415, *_SCORING),
    }


def _training_paths(policy: Policy) -> Part:
    """Two paths that the gateway tells apart by their method: a model to train, a job to look at."""
    path = f"/train/{policy.endpoint}"
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    common: Part = {"tags": ["training"], "security": [{"admin": []}], "parameters": [name]}
    train = common | {
        "operationId": "train",
        "summary": "Train a model anew; its version joins as a challenger",
        "responses": {"202": _ok("Job") | {"description": "Begun."}} | _problems(401, 403, 404, 500, 503),
    }
    look = common | {
        "operationId": "job",
        "summary": "How a training is going",
        "responses": {"200": _ok("Job")} | _problems(401, 403, 404, 500),
    }
    return {f"{path}/{{name}}": {"post": train, "get": look}}


def _service_paths() -> Part:
    return {
        "/live": {"get": _get("live", "Whether the gateway runs", "Live", tag="service")},
        "/ready": {
            "get": _get("ready", "Whether requests are answered", "Ready", tag="service", problems=(503,))
        },
        "/metrics": {"get": _text("metrics", "Counts, for Prometheus", "text/plain")},
        "/openapi.json": {"get": _text("openapi", "This document", JSON, {"type": "object"})},
        "/docs": {"get": _text("docs", "This document, to read and try", "text/html")},
    }


def _get(
    name: str,
    summary: str,
    schema: str,
    parameters: list[Part] | None = None,
    *,
    tag: str = "open inference",
    problems: tuple[int, ...] = (),
) -> Part:
    """An operation without a body."""
    missing = (404,) if parameters else ()
    return {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        **({"parameters": parameters} if parameters else {}),
        "responses": {"200": _ok(schema)} | _problems(*missing, *problems, 500),
    }


def _text(name: str, summary: str, media: str, schema: JsonSchema = STRING) -> Part:
    content = {"description": summary, "content": {media: {"schema": schema}}}
    return {
        "operationId": name,
        "tags": ["service"],
        "summary": summary,
        "responses": {"200": content} | _problems(500),
    }


# --- responses ------------------------------------------------------------------------------


def _scored(schema: str) -> Part:
    headers = {
        "podium-id": {"required": True, "schema": STRING, "description": "The request's id."},
        "podium-rule": {"required": True, "schema": STRING, "description": "What let the score in."},
        "podium-model": {"schema": STRING, "description": "MODEL@VERSION; none for the default answer."},
        "traceparent": {"schema": STRING},
    }
    return {"200": _ok(schema) | {"headers": headers}}


def _ok(schema: str) -> Part:
    return {"description": "As asked.", "content": {JSON: {"schema": ref(schema)}}}


def _problems(*statuses: int) -> Part:
    return {str(status): ref(f"Problem{status}", "responses") for status in sorted(statuses)}


def _problem(status: int) -> Part:
    found: Part = {"description": PROBLEMS[status], "content": {PROBLEM: {"schema": ref("Problem")}}}
    return found | ({"headers": _HEADERS_OF[status]} if status in _HEADERS_OF else {})


# --- components -----------------------------------------------------------------------------


def _scoring_headers() -> list[Part]:
    return [ref(name, "parameters") for name in ("id", "key", "deadline", "force", "traceparent")]


def _parameters(policy: Policy) -> Part:
    names = [contender.name for contender in policy.scoring]
    contender = {"type": "string", "examples": names}
    return {
        "id": _header("podium-id", "Your own id for this request.", {"pattern": "^[!-~]{1,200}$"}),
        "key": _header("podium-key", "What shares keep to, instead of the id.", {}),
        "deadline": _header(
            "podium-deadline",
            f"Shortens the endpoint's {policy.deadline_ms:g} ms.",
            {"pattern": r"^[0-9]{1,9}(\.[0-9]{1,3})?(ms|s)$"},
        ),
        "force": _header("podium-force", "Only this contender's score will do.", {"examples": names}),
        "traceparent": _header("traceparent", "W3C trace context, passed through.", {}),
        "version": {"name": "version", "in": "path", "required": True, "schema": contender},
        "request": {"name": "request", "in": "path", "required": True, "schema": REQUEST_ID},
        "observed": _header(OBSERVED, "When it happened; else: now.", TIME),
    }


def _header(name: str, description: str, schema: JsonSchema) -> Part:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": STRING | schema,
    }


def _schemas(inputs: Schema, outputs: Schema) -> Part:
    text_or_none = {"type": ["string", "null"]}
    tensors = {"type": "array", "items": tensor_metadata()}
    true = {"const": True}
    return {
        "Row": row(inputs),
        "Answer": row(outputs),
        "Scored": record(
            {
                "id": STRING,
                "answer": rows_or_row("Answer"),
                "model": text_or_none,
                "version": text_or_none,
                "rule": STRING,
                "ms": {"type": "number"},
            }
        ),
        **outcome_schemas(outputs),
        "Job": _job_schema(),
        "Problem": _problem_schema(),
        "Live": record({"status": {"const": "live"}}),
        "Ready": record({"status": {"const": "ready"}}),
        "InferRequest": infer_request(inputs, outputs),
        "InferReply": infer_reply(outputs),
        "ServerMetadata": record(
            {"name": STRING, "version": STRING, "extensions": {"type": "array", "items": STRING}}
        ),
        "ServerLive": record({"live": true}),
        "ServerReady": record({"ready": true}),
        "ModelReady": record({"name": STRING, "ready": true}),
        "ModelMetadata": record(
            {
                "name": STRING,
                "versions": {"type": "array", "items": STRING},
                "platform": STRING,
                "inputs": tensors,
                "outputs": tensors,
            }
        ),
        "RepositoryIndex": {
            "type": "array",
            "items": record({"name": STRING, "version": STRING, "state": STRING, "reason": STRING}),
        },
    }


def _job_schema() -> JsonSchema:
    time = {"type": "number", "description": "Seconds since the Unix epoch."}
    later = time | {"type": ["number", "null"]}
    states = [state.value for state in JobState]
    return record(
        {
            "job": STRING,
            "model": STRING,
            "state": {"enum": states},
            "asked": time,
            "began": later,
            "ended": later,
            "log": {"type": "array", "items": STRING},
        }
    )


def _problem_schema() -> JsonSchema:
    """RFC 9457."""
    found = record(
        {
            "type": {"type": "string", "format": "uri-reference"},
            "title": STRING,
            "status": {"type": "integer"},
            "detail": STRING,
            "instance": STRING,
            "path": STRING | {"description": "Of bad input: where, as in `$[3].bmi`."},
            "expected": STRING | {"description": "Of bad input: what would have been right."},
            "error": STRING | {"description": "The detail again, for Open Inference clients."},
        }
    )
    return found | {"required": ["type", "title", "status", "detail", "instance"]}
