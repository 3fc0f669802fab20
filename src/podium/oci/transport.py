"""HTTP to a registry: connections, certificates, a few tries. Knows nothing of what is asked."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from podium.errors import Denied, ImageRegistryAway

SECONDS = 60.0
"""For each packet, not for the whole of a blob."""

PAUSES = (0.2, 1.0, 3.0)
"""Seconds before another try."""

AGAIN = (429, 500, 502, 503, 504)
"""Statuses of a registry that is busy."""
CERTIFICATES = Path("/etc/docker/certs.d")
"""Where Docker looks for the authorities of one registry: `HOST[:PORT]/*.crt`."""

_WAYS = "; is the name right, and does this machine reach it?"
_PIECE = 1 << 20


class BrokenOff(Exception):
    """A connection that ended in the middle: worth another try."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A whole answer, body included."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str:
        return self.headers.get(name.lower(), "")


class Transport:
    """Connections to one registry and to where it redirects. Not for several threads.

    `ca` is a file of authorities beside the system's. `plain` is HTTP without TLS. A registry on this very
    machine is tried with TLS first and without then, as Docker does.
    """

    def __init__(
        self, host: str, *, ca: Path | None = None, plain: bool = False, local: bool = False
    ) -> None:
        self.host = host
        self._ca = ca
        self._plain = plain
        self._local = local and not plain
        self._open: dict[tuple[str, str], http.client.HTTPConnection] = {}
        self._reached: set[str] = set()

    def close(self) -> None:
        for connection in self._open.values():
            connection.close()
        self._open.clear()

    @property
    def base(self) -> str:
        return f"{'http' if self._plain else 'https'}://{self.host}"

    def ask(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Reply:
        """A request that may be repeated. Raises ImageRegistryAway, Denied for a certificate."""
        return self.tried(lambda: self.once(method, url, headers=headers, body=body))

    def tried(self, ask: Callable[[], Reply]) -> Reply:
        """Ask again, after a pause, where the connection broke off or the registry says it is busy."""
        for pause in (*PAUSES, None):
            try:
                reply = ask()
            except BrokenOff as error:
                if pause is None:
                    raise ImageRegistryAway(
                        f"{self.host} broke off {len(PAUSES) + 1} times: {error}"
                    ) from None
            else:
                if reply.status not in AGAIN or pause is None:
                    return reply
            time.sleep(pause)
        raise AssertionError  # the last try returns or raises

    def once(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Reply:
        """One try. Raises BrokenOff, ImageRegistryAway, Denied."""
        with self._response(method, url, headers or {}, body) as response:
            return Reply(status=response.status, headers=_lowered(response), body=response.read())

    @contextmanager
    def stream(self, url: str, headers: Mapping[str, str]) -> Iterator[tuple[Reply, Iterator[bytes]]]:
        """A GET whose body is read piece by piece; the reply has it only where the status is no 2xx."""
        with self._response("GET", url, headers, None) as response:
            failed = response.status // 100 != 2
            reply = Reply(
                status=response.status,
                headers=_lowered(response),
                body=response.read() if failed else b"",
            )
            yield reply, iter(()) if failed else _pieces(response, reply.header("content-length"))

    # --- one connection -----------------------------------------------------------------------

    @contextmanager
    def _response(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> Iterator[http.client.HTTPResponse]:
        parts = urlsplit(self.absolute(url))
        key = (parts.scheme, parts.netloc)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        used = key in self._open
        connection = self._open.get(key) or self._connect(*key)
        whole = False
        try:
            try:
                connection.request(method, path, body=body, headers={"User-Agent": "podium", **headers})
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                if used:  # it may have been idle for too long: a new one is no second try
                    self._drop(key)
                    with self._response(method, url, headers, body) as again:
                        yield again
                    return
                raise BrokenOff(str(error) or type(error).__name__) from None
            self._reached.add(parts.netloc)
            yield response
            whole = response.isclosed() and not response.will_close
        except (OSError, http.client.HTTPException) as error:
            raise BrokenOff(str(error) or type(error).__name__) from None
        finally:
            if not whole:
                self._drop(key)

    def absolute(self, url: str) -> str:
        return url if "://" in url else self.base + url

    def _drop(self, key: tuple[str, str]) -> None:
        if connection := self._open.pop(key, None):
            connection.close()

    def _connect(self, scheme: str, netloc: str) -> http.client.HTTPConnection:
        connection = (
            http.client.HTTPConnection(netloc, timeout=SECONDS)
            if scheme == "http"
            else http.client.HTTPSConnection(netloc, timeout=SECONDS, context=self._context(netloc))
        )
        try:
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            raise Denied(
                f"{netloc}: its certificate is not trusted ({error.verify_message}); give its authority with "
                "--ca FILE, or SSL_CERT_FILE"
            ) from None
        except ssl.SSLError as error:
            if self._local and netloc == self.host:
                return self._without_tls(netloc)
            raise ImageRegistryAway(
                f"{netloc} does not speak TLS ({error.reason}); --plain-http goes without"
            ) from None
        except OSError as error:
            said = f"{netloc} cannot be reached: {error.strerror or error}"
            if netloc in self._reached:  # it was there a moment ago, and may come back
                raise BrokenOff(said) from None
            raise ImageRegistryAway(f"{said}{_WAYS}") from None
        self._open[scheme, netloc] = connection
        return connection

    def _without_tls(self, netloc: str) -> http.client.HTTPConnection:
        self._plain = True
        connection = http.client.HTTPConnection(netloc, timeout=SECONDS)
        self._open["http", netloc] = self._open["https", netloc] = connection
        return connection

    def _context(self, netloc: str) -> ssl.SSLContext:
        context = ssl.create_default_context()
        authorities = [self._ca] if self._ca else []
        if (folder := CERTIFICATES / netloc).is_dir():
            authorities += sorted(folder.glob("*.crt"))
        for file in authorities:
            try:
                context.load_verify_locations(file)
            except (OSError, ssl.SSLError) as error:
                raise Denied(f"{file} holds no certificates that can be read: {error}") from None
        return context


def _lowered(response: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}


def _pieces(response: http.client.HTTPResponse, length: str) -> Iterator[bytes]:
    """Raises BrokenOff where less comes than was said: read piece by piece, nobody else notices."""
    came = 0
    while piece := response.read(_PIECE):
        came += len(piece)
        yield piece
    if length.isdigit() and came < int(length):
        raise BrokenOff(f"after {came} of {length} bytes")
