"""Open-loop load: requests leave at a constant rate, whatever the server does.

A closed loop waits for the slow answer before it asks again, and so does not see what the others would have
waited (coordinated omission). Here a request's latency counts from the moment at which it was *due*, so that
the time it waits for a free connection is counted too.
"""

import os
import select
import socket
import time
from collections import deque

from bench.peers.base import Request
from bench.wrk import Load

DRAIN_SECONDS = 5.0
END_OF_CHUNKS = b"0\r\n\r\n"


class Connection:
    """A connection with at most one request under way; opened when it is first needed, and kept alive.

    Opened late, because a server that serves one connection after the other would wait for one that says
    nothing.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self.due = 0.0
        self.seen = bytearray()
        self._address = address
        self._socket: socket.socket | None = None

    def send(self, message: bytes, due: float) -> int:
        """Sends it, and says which descriptor to wait on."""
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=5)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = due
        self.seen.clear()
        self._socket.sendall(message)
        return self._socket.fileno()

    def receive(self) -> bool:
        """Whether anything came; nothing means that the server has closed it."""
        assert self._socket is not None
        try:
            part = self._socket.recv(1 << 18)
        except OSError:
            part = b""
        self.seen += part
        return bool(part)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class OpenLoop:
    """One constant-rate load over at most so many connections."""

    def __init__(self, port: int, request: Request, *, rate: float, connections: int = 64) -> None:
        self._address = ("127.0.0.1", port)
        self._message = message(request)
        self._rate = rate
        self._connections = connections

    def run(self, seconds: float) -> Load:
        self._latencies: list[float] = []
        self._errors = 0
        self._idle = [Connection(self._address) for _ in range(self._connections)]
        self._busy: dict[int, Connection] = {}
        start = time.perf_counter() + 0.05
        total = round(seconds * self._rate)
        due = deque(start + number / self._rate for number in range(total))
        self._turn(due, until=start + seconds + DRAIN_SECONDS)
        for connection in (*self._idle, *self._busy.values()):
            connection.close()
        return self._load(seconds, unanswered=total - len(self._latencies) - self._errors)

    def _turn(self, due: deque[float], *, until: float) -> None:
        while (due or self._busy) and (now := time.perf_counter()) < until:
            while due and due[0] <= now and self._idle:
                self._send(self._idle.pop(), due.popleft())
            self._receive(self._patience(due, now))

    def _patience(self, due: deque[float], now: float) -> float:
        """How long to wait for an answer before something else has to be done."""
        if due and self._idle:
            return max(0.0, due[0] - now)
        return 0.1

    def _send(self, connection: Connection, due: float) -> None:
        try:
            self._busy[connection.send(self._message, due)] = connection
        except OSError:
            self._failed(connection)

    def _receive(self, patience: float) -> None:
        # select, because its timeout has microseconds where epoll's has milliseconds.
        readable, _, _ = select.select(list(self._busy), [], [], patience)
        for descriptor in readable:
            connection = self._busy[descriptor]
            if not connection.receive():
                del self._busy[descriptor]
                self._failed(connection)
            elif complete(connection.seen):
                del self._busy[descriptor]
                self._answered(connection)

    def _answered(self, connection: Connection) -> None:
        if connection.seen.startswith(b"HTTP/1.1 200"):
            self._latencies.append(time.perf_counter() - connection.due)
        else:
            self._errors += 1
        if closes(connection.seen):
            connection.close()
        self._idle.append(connection)

    def _failed(self, connection: Connection) -> None:
        self._errors += 1
        connection.close()
        self._idle.append(connection)

    def _load(self, seconds: float, *, unanswered: int) -> Load:
        # What never came back waited at least until the end: it stays in the quantiles.
        latencies = sorted([*self._latencies, *[seconds + DRAIN_SECONDS] * unanswered])
        return Load(
            requests=len(self._latencies),
            per_second=len(self._latencies) / seconds,
            p50_ms=_quantile(latencies, 0.50) * 1e3,
            p99_ms=_quantile(latencies, 0.99) * 1e3,
            errors=self._errors + unanswered,
        )


def message(request: Request) -> bytes:
    headers = {"host": "127.0.0.1", "content-length": str(len(request.body)), **request.headers}
    lines = [f"POST {request.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + request.body


def complete(seen: bytearray) -> bool:
    """Whether these bytes are one whole HTTP/1.1 answer."""
    head, end, body = seen.partition(b"\r\n\r\n")
    if not end:
        return False
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return len(body) >= int(value)
        if name == b"transfer-encoding":
            return body.endswith(END_OF_CHUNKS)
    return True


def closes(seen: bytearray) -> bool:
    return b"connection: close" in seen.partition(b"\r\n\r\n")[0].lower()


def take_priority() -> bool:
    """Lets this process, and none that it starts, run whenever it has something to do, where allowed."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except PermissionError:
        return False
    return True


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")
