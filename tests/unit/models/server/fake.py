"""A server that behaves as a test tells it to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behaviour = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """One connection; `seen` are the requests of all of them, as (method, path, body)."""

    protocol_version = "HTTP/1.1"
    behave: Behaviour
    seen: list[tuple[str, str, bytes]]
    connections: list[int]
    body: bytes

    def setup(self) -> None:
        super().setup()
        self.connections.append(1)

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def do_GET(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.seen.append((self.command, self.path, self.body))
        type(self).behave(self)

    do_POST = do_GET

    def json(self, said: Any, status: int = 200) -> None:
        self.say(json.dumps(said).encode(), status=status, kind="application/json")

    def say(self, body: bytes, *, status: int = 200, kind: str = "text/html", length: int = -1) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body) if length < 0 else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the tests look at `seen`."""


class Fake:
    """A running server. `behave` may be changed at any time."""

    def __init__(self, server: ThreadingHTTPServer, handler: type[Handler]) -> None:
        self.url = f"http://127.0.0.1:{server.server_port}"
        self._handler = handler

    def behaves(self, behave: Behaviour) -> None:
        self._handler.behave = staticmethod(behave)  # type: ignore[assignment]

    @property
    def seen(self) -> list[tuple[str, str, bytes]]:
        return self._handler.seen

    @property
    def connections(self) -> int:
        return len(self._handler.connections)


@contextmanager
def fake(behave: Behaviour, port: int = 0) -> Iterator[Fake]:
    handler = type("Told", (Handler,), {"behave": staticmethod(behave), "seen": [], "connections": []})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="fake server")
    thread.start()
    try:
        yield Fake(server, handler)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def doubled(handler: Handler) -> None:
    """Twice `x`: of the question's row, of its instances, or of its tensor."""
    if handler.command == "GET" and "?" not in handler.path:
        return handler.json({"ready": True})
    if handler.command == "GET":
        return handler.json({"y": 2 * float(handler.path.rpartition("=")[2])})
    said = json.loads(handler.body)
    if "instances" in said:
        return handler.json({"predictions": [2 * row["x"] for row in said["instances"]]})
    if "x" in said:
        return handler.json({"y": 2 * said["x"]})
    return handler.json({"error": "no x"}, status=400)
