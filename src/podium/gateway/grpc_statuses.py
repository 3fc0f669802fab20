"""Errors as gRPC statuses: the twin of the table in `podium.gateway.problems`."""

from __future__ import annotations

from grpc import StatusCode

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
from podium.gateway.problems import INTERNAL, INTERNAL_DETAIL, kind_of

CODES: dict[type[PodiumError], StatusCode] = {
    NotJSON: StatusCode.INVALID_ARGUMENT,
    BadInput: StatusCode.INVALID_ARGUMENT,
    InvalidInput: StatusCode.INVALID_ARGUMENT,
    Unauthorized: StatusCode.UNAUTHENTICATED,
    UnknownCaller: StatusCode.UNAUTHENTICATED,
    Forbidden: StatusCode.PERMISSION_DENIED,
    NotFound: StatusCode.NOT_FOUND,
    UnknownRequest: StatusCode.NOT_FOUND,
    MethodNotAllowed: StatusCode.UNIMPLEMENTED,
    SlowBody: StatusCode.DEADLINE_EXCEEDED,
    TooLarge: StatusCode.RESOURCE_EXHAUSTED,
    UnknownEncoding: StatusCode.UNIMPLEMENTED,
    TooManyRequests: StatusCode.RESOURCE_EXHAUSTED,
    OverRate: StatusCode.RESOURCE_EXHAUSTED,
    Stopping: StatusCode.UNAVAILABLE,
    StreamAway: StatusCode.UNAVAILABLE,
    StoreFull: StatusCode.UNAVAILABLE,
    NotReady: StatusCode.UNAVAILABLE,
    NobodyInTime: StatusCode.DEADLINE_EXCEEDED,
}

PROBLEM = "podium-problem"
"""Trailing metadata that tells apart what has one code: the word at the end of HTTP's `type`."""

DETAILS_BYTES = 2000
"""Clients take 8 KiB of metadata by default, and a byte that is no ASCII goes out as three."""


def code_of(error: PodiumError) -> StatusCode:
    """The nearest entry of the table, going up the error's classes."""
    return next((CODES[cls] for cls in type(error).__mro__ if cls in CODES), StatusCode.INTERNAL)


def details_of(error: PodiumError) -> str:
    """What went wrong, where, and what would have been right; nothing of the inside."""
    if kind_of(error) is INTERNAL:
        return INTERNAL_DETAIL
    if not isinstance(error, BadInput):
        return _cut(str(error))
    expected = f", expected {error.expected}" if error.expected else ""
    return _cut(f"{error} (at {error.path}{expected})")


def _cut(text: str) -> str:
    encoded = text.encode()
    if len(encoded) <= DETAILS_BYTES:
        return text
    return f"{encoded[:DETAILS_BYTES].decode(errors='ignore')} …"
