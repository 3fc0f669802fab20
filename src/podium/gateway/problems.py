"""Errors as RFC 9457 problem documents: the facts of `podium.errors` become statuses here, and only here."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from podium.errors import (
    BadInput,
    Forbidden,
    InvalidInput,
    MethodNotAllowed,
    NobodyInTime,
    NotFound,
    NotJSON,
    NotReady,
    OverRate,
    PodiumError,
    SlowBody,
    Stopping,
    StoreFull,
    StreamAway,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    UnknownCaller,
    UnknownEncoding,
    UnknownRequest,
)
from podium.gateway.rsgi import HeaderList, Reply

CONTENT_TYPE = "application/problem+json"
TYPE_PAGE = "/docs/problems"
"""Where a gateway explains its problems; a problem's `type` is an anchor on it (decision 0006)."""

RETRY_SECONDS = 1
ENCODINGS = "gzip, deflate"


class Kind(NamedTuple):
    """What all problems of one error class share; `slug` is its anchor in the documentation."""

    status: int
    slug: str
    title: str


KINDS: dict[type[PodiumError], Kind] = {
    NotJSON: Kind(400, "not-json", "The body is not JSON"),
    BadInput: Kind(400, "bad-request", "The request cannot be read"),
    Unauthorized: Kind(401, "unauthorized", "A key is needed"),
    UnknownCaller: Kind(401, "unknown-caller", "A caller's key is needed"),
    Forbidden: Kind(403, "forbidden", "Switched off here"),
    NotFound: Kind(404, "not-found", "No such name"),
    UnknownRequest: Kind(404, "unknown-request", "No such request"),
    MethodNotAllowed: Kind(405, "method-not-allowed", "This route does not take that method"),
    SlowBody: Kind(408, "slow-body", "The body took too long"),
    TooLarge: Kind(413, "too-large", "The body is too large"),
    UnknownEncoding: Kind(415, "unknown-encoding", "The body's compression is not known"),
    InvalidInput: Kind(422, "invalid-input", "The input does not fit the schema"),
    TooManyRequests: Kind(429, "too-many-requests", "Too many requests in flight"),
    OverRate: Kind(429, "over-rate", "More requests than the caller's key lets in"),
    Stopping: Kind(503, "stopping", "The gateway is stopping"),
    StreamAway: Kind(503, "stream-away", "The message stream is away"),
    StoreFull: Kind(503, "store-full", "No room for large inputs"),
    NotReady: Kind(503, "not-ready", "Not ready"),
    NobodyInTime: Kind(504, "nobody-in-time", "No answer in time"),
}
INTERNAL = Kind(500, "internal-error", "Internal error")
INTERNAL_DETAIL = "the gateway failed; its log says how"


class Problem(msgspec.Struct, omit_defaults=True):
    """The members of a problem document.

    `path` and `expected` come with bad input, `path` with an unknown request too; `error` repeats
    `detail` on the routes of the Open Inference Protocol, whose clients read nothing else.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str
    path: str | None = None
    expected: str | None = None
    error: str | None = None


def problem(error: PodiumError, instance: str) -> Reply:
    """The reply to a request for `instance` (its path) that met this error."""
    kind = kind_of(error)
    if kind is INTERNAL:
        return internal_error(instance)
    document = _document(kind, str(error), instance)
    if isinstance(error, BadInput):
        document.path = error.path
        document.expected = error.expected or None
    elif isinstance(error, UnknownRequest):
        document.path = error.path
    return _reply(document, _headers(error, kind))


def internal_error(instance: str) -> Reply:
    """The reply to what nobody foresaw. It says nothing of the inside; the log does."""
    return _reply(_document(INTERNAL, INTERNAL_DETAIL, instance), [])


def kind_of(error: PodiumError) -> Kind:
    """The nearest entry of the table, going up the error's classes."""
    return next((KINDS[cls] for cls in type(error).__mro__ if cls in KINDS), INTERNAL)


def _document(kind: Kind, detail: str, instance: str) -> Problem:
    return Problem(
        type=f"{TYPE_PAGE}#{kind.slug}",
        title=kind.title,
        status=kind.status,
        detail=detail,
        instance=instance,
        error=detail if instance.startswith("/v2") else None,
    )


def _headers(error: PodiumError, kind: Kind) -> HeaderList:
    if isinstance(error, MethodNotAllowed):
        return [("allow", ", ".join(error.allowed))]
    if isinstance(error, UnknownEncoding):
        return [("accept-encoding", ENCODINGS)]
    if kind.status == 401:
        return [("www-authenticate", "Bearer")]
    if isinstance(error, OverRate):
        return [("retry-after", str(error.seconds))]
    if kind.status in (429, 503):
        return [("retry-after", str(RETRY_SECONDS))]
    return []


def _reply(document: Problem, headers: HeaderList) -> Reply:
    return Reply(document.status, [("content-type", CONTENT_TYPE), *headers], _encode(document))


def _encode(document: Any) -> bytes:
    return msgspec.json.encode(document)
