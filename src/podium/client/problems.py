"""Problem documents (RFC 9457) as errors: the way back from `podium.gateway.problems`."""

from __future__ import annotations

from typing import Any

import msgspec

from podium.client.wire import Reply
from podium.errors import (
    BadInput,
    Forbidden,
    GatewayFailed,
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

ERRORS: dict[str, type[PodiumError]] = {
    "not-json": NotJSON,
    "bad-request": BadInput,
    "unauthorized": Unauthorized,
    "unknown-caller": UnknownCaller,
    "forbidden": Forbidden,
    "not-found": NotFound,
    "unknown-request": UnknownRequest,
    "method-not-allowed": MethodNotAllowed,
    "slow-body": SlowBody,
    "too-large": TooLarge,
    "unknown-encoding": UnknownEncoding,
    "invalid-input": InvalidInput,
    "too-many-requests": TooManyRequests,
    "over-rate": OverRate,
    "stopping": Stopping,
    "stream-away": StreamAway,
    "store-full": StoreFull,
    "not-ready": NotReady,
    "nobody-in-time": NobodyInTime,
    "internal-error": GatewayFailed,
}
"""By what a problem's `type` ends with."""


def refusal(reply: Reply) -> PodiumError:
    """The error that a reply other than an answer stands for, with its document as `problem`."""
    document = _document(reply.body)
    slug = str(document.get("type", "")).rpartition("#")[2]
    kind = ERRORS.get(slug, GatewayFailed)
    detail = document.get("detail") or document.get("title")
    error = _made(kind, str(detail or f"the gateway says {reply.status}"), document, reply)
    error.problem = document
    return error


def _made(kind: type[PodiumError], detail: str, document: dict[str, Any], reply: Reply) -> PodiumError:
    path = str(document.get("path") or "$")
    if issubclass(kind, BadInput):
        return kind(detail, path=path, expected=str(document.get("expected") or ""))
    if issubclass(kind, UnknownRequest):
        return kind(detail, path=path)
    if issubclass(kind, MethodNotAllowed):
        return kind(detail, tuple(reply.headers.get("allow", "").split(", ")))
    if issubclass(kind, OverRate):
        return kind(detail, seconds=_seconds(reply.headers.get("retry-after", "")))
    return kind(detail)


def _seconds(said: str) -> int:
    """`Retry-After`, which something between may have written as a date."""
    return int(said) if said.isdecimal() else 1


def _document(body: bytes) -> dict[str, Any]:
    """Empty for what is none: a proxy before the gateway has words of its own."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}
