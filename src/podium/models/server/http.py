"""Requests to one server over connections that are kept open, several at once, all before one deadline."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from socket import SHUT_RDWR
from urllib.parse import urlsplit

from podium.errors import ModelFailed

LONGEST = 64 * 1024 * 1024
"""Bytes of an answer. What goes on the stream is shorter still."""

_PART = 1 << 20
_FOREIGN = (OSError, http.client.HTTPException, UnicodeError)
"""What the library raises; the last one for a host that cannot be one."""


class Slow(ModelFailed):
    """No whole answer came in time; the message is what came."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What is sent; `target` is the path with its query."""

    method: str
    target: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What came back, whole; `kind` is its content type, and `location` where a redirect leads."""

    status: int
    kind: str
    location: str
    body: bytes


class Pool:
    """Connections to the server of a URL, at most so many. `close` ends what is under way.

    Each connection is used by one thread at a time. Time is that of the monotonic clock.
    """

    def __init__(self, url: str, *, connections: int) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname or "", parts.port
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="server")
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []
        self._closed = False
        self._busy: set[http.client.HTTPConnection] = set()

    def ask(self, requests: Sequence[Request], until: float) -> list[Reply]:
        """The answers, in the requests' order; none where one fails. Raises ModelFailed, Slow at `until`."""
        asked = [self._threads.submit(self._answered, request, until) for request in requests]
        done, rest = wait(asked, timeout=max(0.0, until - time.monotonic()), return_when=FIRST_EXCEPTION)
        for each in rest:
            each.cancel()
        for each in done:
            if not each.cancelled() and (error := each.exception()):
                raise error
        if rest:
            self._interrupt()
            whole = f", {len(done)} of {len(requests)} requests" if len(requests) > 1 else ""
            raise Slow(whole)
        return [each.result() for each in asked]

    def reach(self, until: float) -> None:
        """Raises ModelFailed where nothing can be connected to. It says nothing, and holds nobody up."""
        connecting = self._threads.submit(self._reached, until)
        try:
            connecting.result(timeout=max(0.0, until - time.monotonic()))
        except TimeoutError:
            raise Slow("") from None

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._interrupt()
        with self._lock:
            self._closed = True
            while self._idle:
                self._idle.pop().close()

    def _interrupt(self) -> None:
        """End the waiting of threads whose answers nobody waits for any more."""
        with self._lock:
            for connection in self._busy:
                if (sock := connection.sock) is not None:
                    with suppress(OSError):
                        sock.shutdown(SHUT_RDWR)

    # --- in a thread of the pool --------------------------------------------------------------

    def _answered(self, request: Request, until: float) -> Reply:
        connection, used = self._taken()
        try:
            try:
                reply = _exchanged(connection, request, until)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                # A server may end a connection that was idle, just then: once more, scores have no effects.
                if not used or time.monotonic() > until:
                    raise
                connection.close()
                reply = _exchanged(connection, request, until)
        except BaseException as error:
            self._drop(connection)
            if isinstance(error, _FOREIGN):
                raise _explained(error) from None
            raise
        self._keep(connection)
        return reply

    def _reached(self, until: float) -> None:
        connection = self._new()
        connection.timeout = max(0.001, until - time.monotonic())
        try:
            connection.connect()
        except _FOREIGN as error:
            raise _explained(error) from None
        finally:
            connection.close()

    def _taken(self) -> tuple[http.client.HTTPConnection, bool]:
        """A connection for one request, and whether it was used before."""
        with self._lock:
            connection = self._idle.pop() if self._idle else self._new()
            self._busy.add(connection)
            return connection, connection.sock is not None

    def _new(self) -> http.client.HTTPConnection:
        host, port = self._address
        if self._tls is None:
            return http.client.HTTPConnection(host, port)
        return http.client.HTTPSConnection(host, port, context=self._tls)

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._busy.discard(connection)
            if not self._closed:
                return self._idle.append(connection)
        connection.close()

    def _drop(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._busy.discard(connection)
        connection.close()


def _exchanged(connection: http.client.HTTPConnection, request: Request, until: float) -> Reply:
    left = max(0.001, until - time.monotonic())
    connection.timeout = left
    if connection.sock is not None:
        connection.sock.settimeout(left)
    connection.request(request.method, request.target, request.body, dict(request.headers))
    with connection.getresponse() as response:
        body = _body(response, until)
    return Reply(
        status=response.status,
        kind=(response.getheader("content-type") or "").partition(";")[0].strip().lower(),
        location=response.getheader("location") or "",
        body=body,
    )


def _body(response: http.client.HTTPResponse, until: float) -> bytes:
    """What has come is taken at once, so that a server that sends a byte now and then is found out."""
    seen = bytearray()
    try:
        while part := response.read1(_PART):
            seen += part
            if len(seen) > LONGEST:
                raise ModelFailed(f"its answer has more than {LONGEST >> 20} MB")
            if time.monotonic() > until:
                raise Slow(f", after {len(seen)} bytes it was still sending")
    except (http.client.IncompleteRead, ConnectionResetError):
        raise ModelFailed(f"its answer broke off after {len(seen)} bytes") from None
    if response.length:
        raise ModelFailed(
            f"its answer broke off after {len(seen)} bytes, {response.length} were still to come"
        )
    return bytes(seen)


def _explained(error: BaseException) -> ModelFailed:
    match error:
        case TimeoutError():
            return Slow("")
        case ConnectionRefusedError():
            return ModelFailed("nothing listens there: the connection was refused")
        case http.client.RemoteDisconnected() | ConnectionResetError() | BrokenPipeError():
            return ModelFailed("it ended the connection without an answer")
        case http.client.BadStatusLine():
            return ModelFailed(f"it does not speak HTTP: {str(error)[:60]!r}")
        case OSError() | UnicodeError():
            return ModelFailed(f"it cannot be reached: {getattr(error, 'strerror', None) or error}")
    return ModelFailed(f"its answer is no HTTP: {type(error).__name__}: {str(error)[:100]}")
