"""HTTP/1.1 as bytes: a request going out, a reply coming in. No socket and no clock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import httptools

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

    def json(self) -> Any:
        return json.loads(self.body)


def request_bytes(method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Everything must be ASCII; `path` is percent-encoded, and no header has a line break."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


class ReplyReader:
    """Puts one reply together from the pieces in which it arrives. The parser calls the methods `on_…`."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._head_bytes = 0
        self._in_body = False
        self._body: list[bytes] = []
        self._reply: Reply | None = None

    def feed(self, piece: bytes) -> Reply | None:
        """The reply, once it is whole. An empty piece says that the other side has closed.

        Raises EOFError where it closed too early, GatewayFailed for what is no HTTP.
        """
        if not piece:
            return self._at_the_end()
        try:
            self._parser.feed_data(piece)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise GatewayFailed(f"this is no answer of HTTP: {error}") from None
        self._head_bytes += 0 if self._in_body else len(piece)
        if self._head_bytes > MOST_HEAD:
            raise GatewayFailed(f"this is no answer of HTTP: its headers are over {MOST_HEAD} bytes")
        return self._reply

    def _at_the_end(self) -> Reply:
        """A body without a length ends with its connection; one with a length may not."""
        if self._in_body and not {"content-length", "transfer-encoding"} & self._headers.keys():
            return self._whole(reusable=False)
        raise EOFError("the connection was closed before the answer was whole")

    def _whole(self, *, reusable: bool) -> Reply:
        return Reply(self._parser.get_status_code(), self._headers, b"".join(self._body), reusable)

    # --- what the parser finds --------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._in_body = self._parser.get_status_code() >= INTERIM

    def on_body(self, piece: bytes) -> None:
        self._body.append(piece)

    def on_message_complete(self) -> None:
        if not self._in_body:
            self._headers = {}
        elif self._reply is None:
            self._reply = self._whole(reusable=self._parser.should_keep_alive())
        else:  # nobody asked for another one
            self._reply = self._reply._replace(reusable=False)
