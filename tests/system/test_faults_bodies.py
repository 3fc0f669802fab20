"""Bodies that nobody should send: each gets its status as a problem document, and nothing is published."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.system.load import Reply
from tests.system.running import Node, edit

SCORE = "/score/diabetes"
ROW = b'{"bmi": 0.05}'
TENSOR = b'{"inputs": [{"name": "bmi", "shape": [1], "datatype": "FP64", "data": [0.05]}]}'
LIMIT = 1_000_000
GIGABYTE = 1_000_000_000
SECONDS = 20.0

BAD = {
    "0 bytes": (b"", 400),
    "not JSON": (b"bmi=0.05", 400),
    "half of it": (b'{"bmi": 0.05', 400),
    "two documents": (b'{"bmi": 0.05}{"bmi": 0.05}', 400),
    "invalid UTF-8": (b'{"bmi": 0.05, "\xff\xfe": 1}', 400),
    "half a surrogate pair": (b'{"bmi": "\\ud800"}', 400),
    "deep lists": (b"[" * 100_000 + b"]" * 100_000, 422),
    "deep objects": (b'{"bmi":' * 50_000 + b"1" + b"}" * 50_000, 422),
    "a number too large for JSON's parsers": (b'{"bmi": ' + b"9" * 100_000 + b"}", 422),
    "duplicate keys": (b'{"bmi": 0.05, "bmi": 0.06}', 422),
    "escaped duplicate keys": (b'{"bmi": 0.05, "\\u0062mi": 0.06}', 422),
    "NaN": (b'{"bmi": NaN}', 422),
    "infinity": (b'{"bmi": -Infinity}', 422),
    "past a float": (b'{"bmi": 1e999}', 422),
    "a string for a number": (b'{"bmi": "0.05"}', 422),
    "null for a number": (b'{"bmi": null}', 422),
    "a list for a number": (b'{"bmi": [0.05]}', 422),
    "a number for a row": (b"0.05", 422),
    "a missing field": (b'{"bp": 0.05}', 422),
    "an unknown field": (b'{"bmi": 0.05, "bmx": 0.05}', 422),
    "no rows": (b"[]", 422),
    "one bad row of two": (b'[{"bmi": 0.05}, {"bmi": true}]', 422),
    "over the limit": (b" " * (LIMIT + 1), 413),
}
WRONG_PLACES = {
    "an unknown endpoint": ("POST", "/score/diabetis", {}, 404),
    "an unknown route": ("GET", "/nowhere", {}, 404),
    "an unknown method": ("DELETE", SCORE, {}, 405),
    "an unknown contender": ("POST", SCORE, {"podium-force": "nobody"}, 404),
    "an unknown version": ("POST", SCORE, {"podium-force": "linear@77"}, 404),
    "a deadline that is none": ("POST", SCORE, {"podium-deadline": "soon"}, 422),
    "an id too long": ("POST", SCORE, {"podium-id": "x" * 201}, 422),
}


@pytest.fixture(scope="module")
def node(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = shutil.copytree(template, tmp_path_factory.mktemp("bodies") / "diabetes", symlinks=True)
    edit(folder, limits=f"body_bytes = {LIMIT}")
    node = Node(folder)
    try:
        yield node.start()
    finally:
        node.end()


@pytest.fixture(autouse=True)
def _nothing_is_published(node: Node) -> Iterator[None]:
    before = node.status()
    yield
    after = node.status()
    assert (after.received, after.answered) == (before.received, before.answered)
    assert all(process.restarts == 0 for process in after.processes)
    log = node.log("gateway 1")
    assert "Traceback" not in log, log


def ask(
    node: Node, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> Reply:
    address = urlsplit(node.url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=SECONDS)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, found, answer.read())
    finally:
        connection.close()


def assert_problem(reply: Reply, status: int) -> None:
    assert reply.status == status, reply
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json()
    assert problem["status"] == status
    assert problem["detail"]
    if status == 422:
        assert problem["path"]
        assert problem["expected"]


@pytest.mark.parametrize("what", BAD)
def test_a_bad_body_gets_its_status_and_is_not_published(node: Node, what: str) -> None:
    body, status = BAD[what]
    assert_problem(ask(node, "POST", SCORE, body), status)


@pytest.mark.parametrize("what", WRONG_PLACES)
def test_a_wrong_name_gets_its_status_and_is_not_published(node: Node, what: str) -> None:
    method, path, headers, status = WRONG_PLACES[what]
    assert_problem(ask(node, method, path, ROW, headers), status)


def test_open_inference_knows_unknown_names_too(node: Node) -> None:
    for path in ("diabetis/infer", "diabetes/versions/nobody/infer"):
        assert_problem(ask(node, "POST", f"/v2/models/{path}", TENSOR), 404)


def test_names_that_exist_are_in_the_answer(node: Node) -> None:
    unknown = ask(node, "POST", SCORE, b'{"bmi": 0.05}', {"podium-force": "lineer"}).json()
    assert "linear" in unknown["detail"]
    assert "diabetes" in ask(node, "POST", "/score/diabetis").json()["detail"]


def test_a_gigabyte_announced_is_refused_before_it_is_sent(node: Node) -> None:
    with raw(node) as client:
        client.sendall(f"POST {SCORE} HTTP/1.1\r\nhost: h\r\ncontent-length: {GIGABYTE}\r\n\r\n".encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("announced", ["content-length: 1000000000", "transfer-encoding: chunked"])
def test_a_gigabyte_is_not_read_to_its_end(node: Node, announced: str) -> None:
    memory = node.process("gateway 1").rss_mb or 0
    chunk = b"x" * 65536
    piece = f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n" if "chunked" in announced else chunk
    sent = 0
    reply = b""
    with raw(node) as client:
        client.sendall(f"POST {SCORE} HTTP/1.1\r\nhost: h\r\n{announced}\r\n\r\n".encode())
        with suppress(OSError):
            while sent < GIGABYTE:
                client.sendall(piece)
                sent += len(chunk)
        with suppress(OSError):
            reply = client.recv(4096)
    assert sent < 50 * LIMIT
    assert reply[:12] in (b"HTTP/1.1 413", b""), reply  # or reset, for there was unread data
    time.sleep(1.5)  # the supervisor's next look at its memory
    assert (node.process("gateway 1").rss_mb or 0) < memory + 100


def test_a_client_that_leaves_in_the_middle_of_its_body_is_forgotten(node: Node) -> None:
    for _ in range(20):
        with raw(node) as client:
            client.sendall(f"POST {SCORE} HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n\r\n{{".encode())
    assert ask(node, "GET", "/ready").status == 200


def raw(node: Node) -> socket.socket:
    address = urlsplit(node.url)
    return socket.create_connection((address.hostname, address.port), SECONDS)
