"""HTTP/1.1 in the gateway's own event loop: connections, requests in their order, limits in time and size.

Parsing is llhttp's (httptools). A server that runs in threads of its own hands each request, its body
and its answer from thread to thread; on the request path that cost more than everything else there
(`docs/decisions/0007-speed.md`).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import unquote

import httptools

from podium.errors import BadInput, SlowBody
from podium.gateway.problems import problem
from podium.gateway.rsgi import HeaderList, Protocol, ProtocolClosed, Reply, Scope

log = logging.getLogger(__name__)

HEAD_BYTES = 64 * 1024
BODY_BUFFER_BYTES = 256 * 1024
"""So much of a body waits here for a reader before the client has to wait."""

PIPELINED = 16
"""Requests of one connection that wait for the answer to the one before."""

IDLE_SECONDS = 75.0
LINGER_SECONDS = 2.0
LINGER_BYTES = 1024 * 1024
"""How long, and how much of it, a body is still read and thrown away once its request is answered."""

CLOCK_SECONDS = 0.25
JOINED_BYTES = 64 * 1024
"""A smaller body is sent in one piece with its head."""

App: TypeAlias = Callable[[Scope, Protocol], Coroutine[Any, Any, None]]

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


class Exchange:
    """One request and its response: RSGI's scope and protocol (`podium.gateway.rsgi`) in one."""

    __slots__ = (
        "_connection",
        "_more",
        "_parts",
        "_whole",
        "answered",
        "buffered",
        "complete",
        "gone",
        "headers",
        "keep_alive",
        "method",
        "path",
        "query_string",
        "target",
        "task",
        "unread",
    )

    task: asyncio.Task[None]

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._parts: deque[bytes] = deque()
        self._whole: asyncio.Future[bytes] | None = None
        self._more: asyncio.Future[None] | None = None
        self.buffered = 0
        self.target = b""
        self.headers: dict[str, str] = {}
        self.method = self.path = self.query_string = ""
        self.keep_alive = True
        self.complete = self.answered = self.gone = False
        self.unread = True

    # --- its body ---------------------------------------------------------------------------

    @property
    def whole(self) -> bytes | None:
        """The body, if all of it is here and none of it was read yet."""
        return b"".join(self._parts) if self.complete and self.unread else None

    def __call__(self) -> asyncio.Future[bytes]:
        """The body, whole. It fails with ProtocolClosed when the client leaves in the middle of it."""
        self._whole = asyncio.get_running_loop().create_future()
        self._read_on()
        self._tell()
        return self._whole

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks()

    async def _chunks(self) -> AsyncIterator[bytes]:
        self._read_on()
        while True:
            while self._parts:
                part = self._parts.popleft()
                self.buffered -= len(part)
                self._connection.regulate()
                yield part
            if self.complete:
                return
            if self.gone:
                raise ProtocolClosed("the client left in the middle of its body")
            self._more = asyncio.get_running_loop().create_future()
            await self._more

    def _read_on(self) -> None:
        self.unread = False
        if not self.complete and self.headers.get("expect", "").lower() == "100-continue":
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._connection.regulate()

    @property
    def is_full(self) -> bool:
        """Whether more of its body has come than anybody has asked for."""
        return self.buffered > BODY_BUFFER_BYTES and self._whole is None

    def add(self, part: bytes) -> None:
        """A part of its body has come; thrown away once the request is answered and nobody reads on."""
        self.buffered += len(part)
        if self.answered and self.task.done():
            if self.buffered > LINGER_BYTES:
                self._connection.abort()
            return
        self._parts.append(part)
        self._tell()

    def end(self, *, gone: bool = False) -> None:
        """All of its body has come, or its client has gone."""
        self.gone = gone
        self.complete = self.complete or not gone
        self._tell()

    def _tell(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)
        if self._whole is None or self._whole.done():
            return
        if self.complete:
            self._whole.set_result(b"".join(self._parts))
            self._parts.clear()
        elif self.gone:
            self._whole.set_exception(ProtocolClosed("the client left in the middle of its body"))

    # --- its response -----------------------------------------------------------------------

    def response_bytes(self, status: int, headers: HeaderList, body: bytes) -> None:
        self.answered = True
        self.keep_alive = self.keep_alive and self.complete and not self._connection.stopping
        head = head_of(status, headers, len(body), keep_alive=self.keep_alive)
        if self.method == "HEAD":
            body = b""
        self._connection.write(head, body)


def head_of(status: int, headers: HeaderList, length: int, *, keep_alive: bool) -> bytes:
    """A response's head; a client of HTTP/1.0 is told as well that the connection stays."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    connection = "keep-alive" if keep_alive else "close"
    line = _STATUS_LINES[status]
    return (
        f"{line}date: {_clock.date()}\r\n{lines}content-length: {length}\r\nconnection: {connection}\r\n\r\n"
    ).encode("latin-1", "replace")


class _Dates:
    """The time as HTTP writes it, made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def date(self) -> str:
        now = int(time.time())
        if now != self._second:
            self._second, self._text = now, formatdate(now, usegmt=True)
        return self._text


_clock = _Dates()


class Connection(asyncio.Protocol):
    """One client: its requests are answered one after the other, in their order."""

    def __init__(self, server: Http1Server) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._incoming: Exchange | None = None
        self._begun: list[Exchange] = []
        self._waiting: deque[Exchange] = deque()
        self._current: Exchange | None = None
        self._head_began: float | None = None
        self._head_size = 0
        self._since = server.now()
        self._fresh = True
        self._closes_at: float | None = None
        self._is_paused = self._must_wait = self._broken = False
        self.stopping = False

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.Transport = transport
        self._server.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.connections.discard(self)
        for exchange in (self._incoming, self._current, *self._waiting):
            if exchange is not None:
                exchange.end(gone=True)
        self._waiting.clear()
        del self._parser  # it holds us as we hold it: the collector, which seldom runs, would part the two

    # --- in ---------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing() or (self._closes_at is not None and self._incoming is None):
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._stop_after_this()  # we speak nothing else: answer, and close
        except httptools.HttpParserError as error:
            self._refuse(problem(BadInput(f"this is not HTTP: {error}"), "/"))
            return
        if self._head_began is not None:
            self._head_size += len(data)
            if self._head_size > HEAD_BYTES:
                self._refuse(problem(BadInput(f"the headers are over {HEAD_BYTES} bytes"), "/"))
                return
        if self._begun:
            begun, self._begun = self._begun, []
            self._waiting.extend(begun)
            self._next()
        self.regulate()

    def on_message_begin(self) -> None:
        self._head_began = self._server.now()
        self._head_size = 0
        self._incoming = Exchange(self)

    def on_url(self, url: bytes) -> None:
        assert self._incoming is not None
        self._incoming.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        assert self._incoming is not None
        self._incoming.headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        exchange = self._incoming
        assert exchange is not None
        self._head_began = None
        self._fresh = False
        exchange.method = self._parser.get_method().decode()
        exchange.path, exchange.query_string = _split(exchange.target)
        exchange.keep_alive = self._parser.should_keep_alive()
        self._begun.append(exchange)

    def on_body(self, part: bytes) -> None:
        assert self._incoming is not None
        self._incoming.add(part)

    def on_message_complete(self) -> None:
        assert self._incoming is not None
        self._incoming.end()
        self._incoming = None
        if self._closes_at is not None and self._current is None:
            self._transport.close()

    # --- one after the other ----------------------------------------------------------------

    def _next(self) -> None:
        if self._current is None and self._waiting:
            exchange = self._current = self._waiting.popleft()
            exchange.task = asyncio.get_running_loop().create_task(self._answer(exchange))

    async def _answer(self, exchange: Exchange) -> None:
        try:
            await self._server.app(exchange, exchange)
        finally:
            self._current = None
            self._since = self._server.now()
            if exchange.answered and exchange.keep_alive:
                self._next()
                self.regulate()
            elif exchange.complete or exchange.gone:
                self._transport.close()
            else:  # whoever is cut off while it sends never sees the answer
                self._closes_at = self._server.now() + LINGER_SECONDS
                self.regulate()

    def _stop_after_this(self) -> None:
        for exchange in (self._current, *self._waiting, *self._begun):
            if exchange is not None:
                exchange.keep_alive = False

    def _refuse(self, reply: Reply) -> None:
        """What comes makes no sense, so nothing more of it is read; what came before is answered."""
        self._head_began = None
        self._broken = True
        if self._current is None:
            self._transport.write(head_of(reply.status, reply.headers, len(reply.body), keep_alive=False))
            self._transport.write(reply.body)
            self._transport.close()
        else:
            self._waiting.clear()
            self._stop_after_this()
            self.regulate()

    # --- out, and not too much --------------------------------------------------------------

    def write(self, head: bytes, body: bytes = b"") -> None:
        if self._transport.is_closing():
            return
        if len(body) < JOINED_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))

    def pause_writing(self) -> None:
        self._must_wait = True
        self.regulate()

    def resume_writing(self) -> None:
        self._must_wait = False
        self.regulate()

    def regulate(self) -> None:
        """Read on only while what is read is wanted, and what is written is taken."""
        current = self._current
        full = self._broken or self._must_wait or len(self._waiting) >= PIPELINED
        full = full or (current is not None and current.is_full)
        if full == self._is_paused or self._transport.is_closing():
            return
        self._is_paused = full
        if full:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    @property
    def buffered(self) -> int:
        """Bytes of bodies that wait here."""
        return sum(exchange.buffered for exchange in (self._current, *self._waiting) if exchange is not None)

    # --- as time passes ---------------------------------------------------------------------

    def look(self, now: float, head_seconds: float) -> None:
        """Cut off who takes too long for a head, does nothing, or was to be closed by now."""
        if self._closes_at is not None and now >= self._closes_at:
            self._transport.abort()
        elif self._head_began is not None and now - self._head_began > head_seconds:
            self._refuse(problem(SlowBody(f"the headers did not arrive within {head_seconds:g} s"), "/"))
        elif self._current is None and self._incoming is None:
            patience = head_seconds if self._fresh else IDLE_SECONDS
            if now - self._since > patience:
                self._transport.abort()  # also where it does not take its last answer

    def stop(self) -> None:
        """Answer what is in flight, and close."""
        self.stopping = True
        if self._current is None:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()


class Http1Server:
    """Serves an application on a listening socket. `async with` starts; leaving it stops at once."""

    def __init__(self, app: App, listener: socket.socket, *, head_seconds: float, backlog: int) -> None:
        self.app = app
        self.connections: set[Connection] = set()
        self._listener = listener
        self._head_seconds = head_seconds
        self._backlog = backlog

    async def __aenter__(self) -> Http1Server:
        loop = asyncio.get_running_loop()
        self.now = loop.time
        self._listener.setblocking(False)
        self._server = await loop.create_server(
            lambda: Connection(self), sock=self._listener, backlog=self._backlog
        )
        self.clock = asyncio.create_task(self._tick(), name="gateway connections")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.clock.cancel()
        for connection in list(self.connections):
            connection.abort()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._listener.getsockname()[:2]
        return host, port

    async def stop(self, seconds: float) -> None:
        """Take no new connection, answer what is in flight, at most for so long."""
        self._server.close()
        for connection in list(self.connections):
            connection.stop()
        end = self.now() + seconds
        while self.connections and self.now() < end:
            await asyncio.sleep(0.01)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(CLOCK_SECONDS)
            now = self.now()
            for connection in list(self.connections):
                connection.look(now, self._head_seconds)


def _split(target: bytes) -> tuple[str, str]:
    """The decoded path and the query of a request's target, which may be a whole URL."""
    text = target.decode("latin-1")
    if not text.startswith("/"):
        text = "/" + text.partition("://")[2].partition("/")[2]
    path, _, query = text.partition("#")[0].partition("?")
    return unquote(path) if "%" in path else path, query
