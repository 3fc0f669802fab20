"""The socket that clients connect to.

The supervisor owns it and its gateways inherit it: while a gateway is being replaced, connections wait
in the socket's queue instead of being refused.
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
                f"`podium up --port {port + 1}`"
            ) from None
        raise NodeError(f"cannot listen on {host}, port {port}: {error.strerror}") from None
    listening.set_inheritable(True)
    return listening


def url_of(listening: socket.socket) -> str:
    """Where a client on this machine finds it."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
