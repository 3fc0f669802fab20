"""The sockets that clients connect to.

The supervisor owns that of HTTP and its gateways inherit it: while a gateway is being replaced, connections
wait in the socket's queue instead of being refused. gRPC's library takes no socket that others have opened,
so for it the supervisor only holds the port, and each gateway listens there itself.
"""

from __future__ import annotations

import errno
import socket

from podium.errors import NodeError

BACKLOG = 4096


class PortTaken(NodeError):
    """Another program listens where the gateway should."""


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 is any free one. Raises PortTaken, NodeError."""
    listening = _listening(host, port, option="--port")
    listening.set_inheritable(True)
    return listening


def reserve(host: str, port: int) -> socket.socket:
    """A socket that holds a port for the gateways, who share it; no connection ever comes to it.

    Port 0 is any free one. Raises PortTaken, NodeError.
    """
    # Whoever else shares a port in the same way would not be in the way of `bind`, so ask without sharing.
    with _listening(host, port, option="--grpc-port") as alone:
        address = alone.getsockname()
        family = alone.family
    held = socket.socket(family, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        held.bind(address)
    except OSError as error:
        held.close()
        raise NodeError(f"cannot hold {host}, port {address[1]}: {error.strerror}") from None
    return held


def _listening(host: str, port: int, *, option: str) -> socket.socket:
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise NodeError(f"--host {host}: {error.strerror}; 127.0.0.1 is this machine only") from None
    listening = socket.socket(family, kind, proto)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"port {port} on {host} is taken by another program; stop that, or use another one: "
                f"`podium up {option} {port + 1}`"
            ) from None
        raise NodeError(f"cannot listen on {host}, port {port}: {error.strerror}") from None
    return listening


def address_of(held: socket.socket) -> str:
    """`HOST:PORT` of a socket, as gRPC's clients and servers write it."""
    host, port = held.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def url_of(listening: socket.socket) -> str:
    """Where a client on this machine finds it."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
