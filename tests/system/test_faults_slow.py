"""A thousand clients that never finish, and bodies without end: the others are answered in time."""

from __future__ import annotations

import resource
import select
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.system.conftest import Up
from tests.system.kept import assert_each_answer_kept_once
from tests.system.load import Load
from tests.system.running import Node, edit

CROWD = 1000
UNFINISHED = {
    "headers": b"POST /score/diabetes HTTP/1.1\r\nhost: here\r\nx-slow: ",
    "body": b"POST /score/diabetes HTTP/1.1\r\nhost: here\r\ncontent-length: 100\r\n\r\n{",
    "chunks": b"POST /score/diabetes HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n",
}
PATIENCE = 30.0


@pytest.fixture(autouse=True)
def _many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("what", UNFINISHED)
def test_a_thousand_slow_clients_keep_nobody_waiting(project: Path, up: Up, what: str) -> None:
    edit(project, limits='body_timeout = "2s"\nheader_timeout = "2s"')
    node = up(project)
    with crowd(node, UNFINISHED[what]) as slow, Load(node.url) as load:
        received = until_cut_off(slow)
    assert set(load.counts) == {200}, load
    assert load.rules["champion"] > 0.5 * len(load.seen), load
    if what == "headers":
        assert set(received) <= {b"", b"HTTP/1.1 408"}, received
    else:
        assert set(received) == {b"HTTP/1.1 408"}, received
    found = node.status()
    assert found.received == len(load.seen)
    assert_each_answer_kept_once(node, load)


@contextmanager
def crowd(node: Node, words: bytes) -> Iterator[list[socket.socket]]:
    """Clients that have sent so much, and send nothing more."""
    address = urlsplit(node.url)
    with ExitStack() as stack:
        clients = []
        for _ in range(CROWD):
            client = stack.enter_context(socket.create_connection((address.hostname, address.port), PATIENCE))
            client.sendall(words)
            clients.append(client)
        yield clients


def until_cut_off(clients: list[socket.socket]) -> Counter[bytes]:
    """Wait until each has been told so, or left; what their first bytes were."""
    poll = select.poll()
    waiting = {client.fileno(): client for client in clients}
    for number in waiting:
        poll.register(number, select.POLLIN)
    received: Counter[bytes] = Counter()
    give_up = time.monotonic() + PATIENCE
    while waiting:
        assert time.monotonic() < give_up, f"{len(waiting)} are still connected: {received}"
        for number, _ in poll.poll(1000):
            poll.unregister(number)
            try:
                first = waiting.pop(number).recv(4096)[:12]
            except ConnectionResetError:
                first = b""
            received[first] += 1
    return received
