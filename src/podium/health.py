"""Two answers over HTTP for whoever looks after a process: `GET /live` and `GET /ready`.

It runs in the process's own event loop on purpose: a model that never returns stops the answers as it
stops the beat, and a probe's time-out is the sign.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from types import TracebackType

from podium.errors import NodeError

_HEAD_BYTES = 8192
_HEAD_SECONDS = 5.0


class Health:
    """Answers on a port, on every address. `async with` listens; `ready` is asked at each request."""

    def __init__(self, port: int, ready: Callable[[], bool]) -> None:
        self._port = port
        self._ready = ready

    async def __aenter__(self) -> Health:
        """Raises NodeError where something else has the port."""
        try:
            self._server = await asyncio.start_server(
                self._answer, sock=_listening(self._port), limit=_HEAD_BYTES
            )
        except OSError as error:
            raise NodeError(
                f"cannot listen on port {self._port} for probes: {error.strerror}; PODIUM_HEALTH_PORT names "
                "another one"
            ) from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()

    @property
    def port(self) -> int:
        """The one that it listens on; where 0 was asked for, the one that the system chose."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_HEAD_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._reply(head))
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            pass  # whoever asks like that gets no answer
        finally:
            writer.close()

    def _reply(self, head: bytes) -> bytes:
        match head.split(b" ", 2)[:2]:
            case [b"GET", b"/live"]:
                status, text = "200 OK", "live\n"
            case [b"GET", b"/ready"] if self._ready():
                status, text = "200 OK", "ready\n"
            case [b"GET", b"/ready"]:
                status, text = "503 Service Unavailable", "not ready\n"
            case _:
                status, text = "404 Not Found", "there are /live and /ready\n"
        return (
            f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\n"
            f"Connection: close\r\n\r\n{text}"
        ).encode()


def _listening(port: int) -> socket.socket:
    """On every address, of both families where the system has both."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))
