"""Connections for `Client`: sockets that are kept and used again, every wait on them bounded."""

from __future__ import annotations

import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from podium.client.calls import Address
from podium.client.wire import Reply, ReplyReader
from podium.errors import GatewayFailed, Unreachable

PIECE = 65536


class Connections:
    """Those to one gateway. Any number of threads may ask at the same time."""

    def __init__(self, address: Address, context: Callable[[], ssl.SSLContext]) -> None:
        self._address = address
        self._context = context
        self._kept: deque[Connection] = deque()

    def ask(self, request: bytes, seconds: float) -> Reply:
        """The reply. Raises Unreachable, GatewayFailed; after `seconds` at the latest."""
        until = time.monotonic() + seconds
        with explained(self._address, seconds):
            while kept := self._take():
                try:
                    return self._asked(kept, request, until)
                except (ConnectionError, EOFError):
                    pass  # closed since it was used last, which says nothing of the gateway now
            return self._asked(self._opened(until), request, until)

    def close(self) -> None:
        while kept := self._take():
            kept.close()

    def _asked(self, connection: Connection, request: bytes, until: float) -> Reply:
        try:
            reply = connection.ask(request, until)
        except BaseException:
            connection.close()  # nobody knows what would come over it next
            raise
        if reply.reusable:
            self._kept.append(connection)
        else:
            connection.close()
        return reply

    def _take(self) -> Connection | None:
        """The one used last: it is the likeliest to be open still."""
        try:
            return self._kept.pop()
        except IndexError:
            return None

    def _opened(self, until: float) -> Connection:
        address = self._address
        opened = socket.create_connection((address.host, address.port), _left(until))
        if not address.tls:
            return Connection(opened)
        try:
            return Connection(self._context().wrap_socket(opened, server_hostname=address.host))
        except BaseException:
            opened.close()
            raise


class Connection:
    """One socket, for one request at a time."""

    def __init__(self, opened: socket.socket) -> None:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = opened

    def ask(self, request: bytes, until: float) -> Reply:
        """Raises OSError, EOFError, GatewayFailed."""
        self._socket.settimeout(_left(until))
        self._socket.sendall(request)
        reader = ReplyReader()
        reply = None
        while reply is None:
            self._socket.settimeout(_left(until))  # each time: a piece now and then must not go on for ever
            reply = reader.feed(self._socket.recv(PIECE))
        return reply

    def close(self) -> None:
        self._socket.close()


@contextmanager
def explained(address: Address, seconds: float) -> Iterator[None]:
    """What sockets raise as errors of Podium's."""
    try:
        yield
    except TimeoutError:
        raise Unreachable(f"no answer of {address.url} in time: the last try had {seconds:.1f} s") from None
    except ssl.SSLCertVerificationError as error:  # which another try would not mend
        raise GatewayFailed(f"{address.url} is not trusted: {error.verify_message}") from None
    except (OSError, EOFError) as error:
        raise Unreachable(f"{address.url} does not answer: {error}") from None


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
