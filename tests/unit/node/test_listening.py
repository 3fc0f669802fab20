"""The socket that clients connect to."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest

from podium.errors import NodeError
from podium.node.listening import PortTaken, address_of, listen, reserve, url_of


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


def test_a_reserved_port_is_listened_on_by_whoever_shares_it_and_by_nobody_else() -> None:
    with reserve("127.0.0.1", 0) as held:
        host, port = held.getsockname()
        assert address_of(held) == f"127.0.0.1:{port}"
        with pytest.raises(PortTaken, match=rf"--grpc-port {port + 1}"):
            reserve("127.0.0.1", port)
        with socket.socket() as gateway:
            gateway.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            gateway.bind((host, port))
            gateway.listen()
            for _ in range(20):  # each of them comes to the one who listens
                with socket.create_connection((host, port), timeout=5), gateway.accept()[0]:
                    pass
            with pytest.raises(PortTaken):
                reserve("127.0.0.1", port)


def test_addresses_of_both_families_are_written_as_grpc_does() -> None:
    try:
        held = reserve("::1", 0)
    except NodeError:
        pytest.skip("this machine has no IPv6")
    with held:
        assert address_of(held) == f"[::1]:{held.getsockname()[1]}"
