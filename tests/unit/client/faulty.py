"""A gateway that misbehaves as told: real sockets, and everything that it was sent."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

BOUND = 10.0


class Seen(NamedTuple):
    """A request as it came; `connection` counts those that were opened."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int

    @property
    def id(self) -> str:
        return self.headers["podium-id"]


Turn = Callable[[socket.socket, Seen], None]
"""What is done with one request; it closes the socket, or leaves it open for the next."""


def reply(status: int = 200, content: Any = None, **headers: str) -> Turn:
    """Say this; underscores in names of headers are hyphens."""
    body = json.dumps(content).encode()
    lines = [f"HTTP/1.1 {status} Text", *(f"{n.replace('_', '-')}: {v}" for n, v in headers.items())]
    head = "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode()
    return lambda connection, _: connection.sendall(head + body)


def answer(connection: socket.socket, seen: Seen) -> None:
    """Answer as a gateway does: a row for a row, its input doubled."""
    given = json.loads(seen.body)
    rows = given if isinstance(given, list) else [given]
    found = [{"y": 2 * row["x"]} for row in rows]
    document = {"id": seen.id, "answer": found if isinstance(given, list) else found[0]}
    document |= {"model": "linear", "version": "9f2c1ab04d5e", "rule": "champion", "ms": 1.2}
    reply(200, document)(connection, seen)


def drop(connection: socket.socket, _: Seen) -> None:
    """The process dies before it answers."""
    connection.shutdown(socket.SHUT_RDWR)


def half(connection: socket.socket, seen: Seen) -> None:
    """It dies in the middle of its answer."""
    connection.sendall(b'HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n{"id": "')
    drop(connection, seen)


def last_words(connection: socket.socket, seen: Seen) -> None:
    """It answers, and is gone when the next request comes."""
    answer(connection, seen)
    drop(connection, seen)


def problem(status: int, slug: str, detail: str = "why", **members: Any) -> Turn:
    document = {"type": f"/docs/problems#{slug}", "status": status, "detail": detail, **members}
    return reply(status, document, content_type="application/problem+json", retry_after="0")


class FaultyGateway:
    """Takes a turn of `turns` for each request, then the last one for ever."""

    def __init__(self, turns: list[Turn], tls: ssl.SSLContext | None) -> None:
        self.seen: list[Seen] = []
        self.most_at_once = 0
        self._at_once = 0
        self._turns = turns
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._tls = tls
        host = "https://localhost" if tls else "http://127.0.0.1"
        self.url = f"{host}:{self._listener.getsockname()[1]}"

    @property
    def connections(self) -> int:
        return len(self._open)

    @property
    def busy(self) -> bool:
        """Whether a turn is not over yet."""
        return bool(self._at_once)

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # it was closed: the test is over
                return
            connection.settimeout(BOUND)
            self._open.append(connection)
            arguments = (connection, len(self._open))
            threading.Thread(target=self._serve, args=arguments, daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as stream:
                while first := stream.readline():
                    self._take(connection, _request(first, stream, number))
        except (OSError, ValueError):
            return  # the client has gone, or this side has closed

    def _take(self, connection: socket.socket, seen: Seen) -> None:
        with self._lock:
            self.seen.append(seen)
            turn = self._turns.pop(0) if len(self._turns) > 1 else self._turns[0]
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            turn(connection, seen)
        finally:
            with self._lock:
                self._at_once -= 1

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()


def _request(first: bytes, stream: Any, number: int) -> Seen:
    headers = {}
    while (line := stream.readline().decode().strip()) != "":
        name, _, value = line.partition(":")
        headers[name] = value.strip()
    body = stream.read(int(headers.get("content-length", 0)))
    return Seen(first.split()[1].decode(), headers, body, number)


@contextmanager
def gateway(*turns: Turn, tls: ssl.SSLContext | None = None) -> Iterator[FaultyGateway]:
    """One that is listening; its sockets end with the test."""
    started = FaultyGateway(list(turns) or [answer], tls)
    thread = threading.Thread(target=started.accept, daemon=True)
    thread.start()
    try:
        yield started
    finally:
        started.close()
        thread.join(BOUND)
