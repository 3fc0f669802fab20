"""What handlers see of a request: the parts of RSGI, granian's server interface, that the gateway uses.

`podium.gateway.http1` serves it.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple
from typing import Protocol as Typed

HeaderList = list[tuple[str, str]]


class ProtocolClosed(Exception):
    """The client has gone."""


class Scope(Typed):
    """A request without its body; its path is decoded, the names of its headers are lower case."""

    method: str
    path: str
    query_string: str

    @property
    def headers(self) -> Mapping[str, str]: ...


class Protocol(Typed):
    """A request's body, read whole or in chunks, and its response."""

    @property
    def whole(self) -> bytes | None:
        """The body, where all of it came with the head. Not RSGI's: it saves most requests a wait."""

    def __call__(self) -> Future[bytes]: ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def response_bytes(self, status: int, headers: HeaderList, body: bytes) -> None: ...


class Reply(NamedTuple):
    """A response: plain data until the last line sends it."""

    status: int
    headers: HeaderList
    body: bytes
