"""HTTP/1.1 as bytes: a request going out, a reply coming in. No socket and no clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from podium.errors import GatewayFailed

MOST_HEAD = 65536
INTERIM = 200
"""Statuses below say that the reply is still to come."""


class Reply(NamedTuple):
    """A whole reply; names of headers are in lower case. `reusable` says whether another may follow it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    reusable: bool


def request_bytes(method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Everything must be ASCII; `path` is percent-encoded, and no header has a line break."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


class _Head(NamedTuple):
    """`length` is the body's; None where it ends with the connection."""

    status: int
    headers: Mapping[str, str]
    length: int | None
    chunked: bool
    reusable: bool


class ReplyReader:
    """Puts one reply together from the pieces in which it arrives."""

    def __init__(self) -> None:
        self._head: _Head | None = None
        self._data = bytearray()  # that has arrived and is not understood yet
        self._chunks = bytearray()

    def feed(self, piece: bytes) -> Reply | None:
        """The reply, once it is whole. An empty piece says that the other side has closed.

        Raises EOFError where it closed too early, GatewayFailed for what is no HTTP.
        """
        self._data += piece
        closed = not piece
        head = self._head = self._head or self._read_head()
        body = self._read_body(head, closed) if head else None
        if head and body is not None:
            return Reply(head.status, head.headers, body, head.reusable and not closed and not self._data)
        if closed:
            raise EOFError("the connection was closed before the answer was whole")
        return None

    def _read_head(self) -> _Head | None:
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = _parsed(bytes(self._data[:end]))
            del self._data[: end + 4]
            if head.status >= INTERIM:
                return head
        if len(self._data) > MOST_HEAD or not self._data.startswith(b"HTTP/"[: len(self._data)]):
            raise GatewayFailed(f"this is no answer of HTTP: {bytes(self._data[:40])!r}")
        return None

    def _read_body(self, head: _Head, closed: bool) -> bytes | None:
        if head.chunked:
            return self._read_chunks()
        if head.length is None:
            return self._cut(len(self._data)) if closed else None
        return self._cut(head.length) if len(self._data) >= head.length else None

    def _read_chunks(self) -> bytes | None:
        """Each chunk comes after its length; after the last, of length 0, there may be more headers."""
        while (end := self._data.find(b"\r\n")) >= 0:
            size = _number(self._data[:end].partition(b";")[0], base=16)
            if size == 0:
                trailer_end = self._data.find(b"\r\n\r\n", end)
                if trailer_end < 0:
                    return None
                self._cut(trailer_end + 4)
                return bytes(self._chunks)
            start = end + 2
            if len(self._data) < start + size + 2:
                return None
            self._chunks += self._cut(start + size)[start:]
            if self._cut(2) != b"\r\n":
                raise GatewayFailed("this is no answer of HTTP: a chunk is longer than it says")
        return None

    def _cut(self, length: int) -> bytes:
        found = bytes(self._data[:length])
        del self._data[:length]
        return found


def _parsed(text: bytes) -> _Head:
    first, *lines = text.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise GatewayFailed(f"this is no answer of HTTP/1.1: {first[:40]!r}")
    status = _number(rest[:3].encode("latin-1"))
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    length = None
    if status in (204, 304):
        length = 0
    elif "content-length" in headers:
        length = _number(headers["content-length"].encode("latin-1"))
    chunked = "chunked" in headers.get("transfer-encoding", "").lower()
    lasting = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    return _Head(status, headers, length, chunked, lasting and (chunked or length is not None))


def _number(text: bytes | bytearray, base: int = 10) -> int:
    try:
        number = int(text, base)
    except ValueError:
        number = -1
    if number < 0:
        raise GatewayFailed(f"this is no answer of HTTP: {bytes(text[:40])!r} is no number")
    return number
