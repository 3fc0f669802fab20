"""The socket that clients connect to."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest

from podium.errors import NodeError
from podium.node.listening import PortTaken, listen, url_of


def test_a_client_can_connect_before_anybody_accepts() -> None:
    with listen("127.0.0.1", 0) as listening:
        assert listening.get_inheritable()
        address = urlsplit(url_of(listening))
        assert address.hostname
        with socket.create_connection((address.hostname, address.port or 0), timeout=5):
            pass


def test_a_taken_port_says_which_and_what_to_do() -> None:
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"port {port} on 127\.0\.0\.1 .*--port {port + 1}"):
            listen("127.0.0.1", port)


def test_a_host_that_is_not_here_is_refused_in_one_line() -> None:
    with pytest.raises(NodeError, match=r"192\.0\.2\.1"):
        listen("192.0.2.1", 0)
