"""The parts of RSGI (granian's server interface, version 1.6) that the gateway uses, as types."""

from __future__ import annotations

from asyncio import Future
from collections.abc import AsyncIterator
from typing import NamedTuple
from typing import Protocol as Typed

HeaderList = list[tuple[str, str]]


class Headers(Typed):
    """A request's headers; names are lower case."""

    def get(self, key: str, default: str | None = None) -> str | None: ...


class Scope(Typed):
    """A request without its body."""

    method: str
    path: str
    query_string: str
    client: str
    headers: Headers


class Protocol(Typed):
    """A request's body, read whole or in chunks, and its response."""

    def __call__(self) -> Future[bytes]: ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def response_bytes(self, status: int, headers: HeaderList, body: bytes) -> None: ...


class Reply(NamedTuple):
    """A response: plain data until the last line sends it."""

    status: int
    headers: HeaderList
    body: bytes
