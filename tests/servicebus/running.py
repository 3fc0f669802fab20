"""The stand-in as a process, and a line to it that can be cut."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

HOST = "127.0.0.1"
STANDIN = Path(__file__).with_name("standin.py")
MAX_MESSAGE = 256 * 1024


class Running:
    """`with` starts it."""

    def __init__(self, *, topic_bytes: float = float("inf")) -> None:
        self.amqp_port, self.http_port = free_port(), free_port()
        self._topic_bytes = topic_bytes

    def __enter__(self) -> Running:
        ports = [str(self.amqp_port), str(self.http_port), str(self._topic_bytes)]
        self._process = subprocess.Popen([sys.executable, str(STANDIN), *ports], stdout=subprocess.PIPE)
        assert self._process.stdout
        assert self._process.stdout.readline() == b"listening\n"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()

    def url(self, port: int | None = None) -> str:
        return f"servicebus://{HOST}:{port or self.amqp_port}?admin={self.http_port}"

    def connection_string(self, port: int | None = None, *, key: str = "owner") -> str:
        return (
            f"Endpoint=sb://{HOST}:{port or self.amqp_port};SharedAccessKeyName={key};"
            "SharedAccessKey=c2VjcmV0;UseDevelopmentEmulator=true"
        )


class Line:
    """A port that leads to another, until it is cut."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._connect, HOST, self.port)

    async def cut(self) -> None:
        """At once: what is on its way is lost."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(HOST, self._target)
        self._ends |= {writer, back}
        self._tasks |= {asyncio.create_task(_copy(reader, back)), asyncio.create_task(_copy(there, writer))}


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
