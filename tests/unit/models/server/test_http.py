"""Connections to a server: kept open, several at once, and every fault one clear error in time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from podium.errors import ModelFailed
from podium.models.server import http
from podium.models.server.http import Pool, Request, Slow

from .fake import Fake, Handler, fake

GET = Request(method="GET", target="/")
SECONDS = 5.0


def soon(seconds: float = SECONDS) -> float:
    return time.monotonic() + seconds


@contextmanager
def pool(at: Fake | str, connections: int = 1) -> Iterator[Pool]:
    made = Pool(at if isinstance(at, str) else at.url, connections=connections)
    try:
        yield made
    finally:
        made.close()


def hello(handler: Handler) -> None:
    handler.say(b"hello")


def failure(asked: Pool, seconds: float = SECONDS) -> str:
    with pytest.raises(ModelFailed) as caught:
        asked.ask([GET], soon(seconds))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_connection_is_kept_and_used_again() -> None:
    with fake(hello) as server, pool(server) as asked:
        for _ in range(5):
            (reply,) = asked.ask([GET], soon())
            assert (reply.status, reply.kind, reply.body) == (200, "text/html", b"hello")
        assert server.connections == 1


def test_chunked_answers_are_read_and_the_connection_is_kept() -> None:
    def chunked(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")

    with fake(chunked) as server, pool(server) as asked:
        for _ in range(2):
            assert asked.ask([GET], soon())[0].body == b"hello world"
        assert server.connections == 1


def test_requests_are_under_way_at_once_up_to_the_limit_and_answers_keep_their_order() -> None:
    inside = threading.Semaphore(0)
    most, now, lock = [0], [0], threading.Lock()

    def counting(handler: Handler) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        inside.acquire(timeout=0.05)  # long enough for the others to come in
        with lock:
            now[0] -= 1
        handler.say(handler.path.encode())

    with fake(counting) as server, pool(server, 3) as asked:
        requests = [Request(method="GET", target=f"/{number}") for number in range(9)]
        replies = asked.ask(requests, soon())
        assert [reply.body for reply in replies] == [f"/{number}".encode() for number in range(9)]
        assert most[0] == 3
        assert server.connections == 3


def test_a_connection_that_the_server_ended_meanwhile_costs_nobody_an_answer() -> None:
    def once(handler: Handler) -> None:
        handler.say(b"hello")
        handler.close_connection = True  # without having said so

    with fake(once) as server, pool(server) as asked:
        for _ in range(3):
            assert asked.ask([GET], soon())[0].body == b"hello"
            time.sleep(0.02)
        assert server.connections == 3


def half(handler: Handler) -> None:
    handler.say(b"half", length=8)
    handler.close_connection = True


def half_a_chunk(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("transfer-encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"8\r\nhalf")
    handler.close_connection = True


def gone(handler: Handler) -> None:
    handler.close_connection = True


def other(handler: Handler) -> None:
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    handler.close_connection = True


FAULTS = {
    half: "broke off after 4 bytes, 4 were still to come",
    half_a_chunk: "broke off after 4 bytes",
    gone: "ended the connection without an answer",
    other: "does not speak HTTP",
}


@pytest.mark.parametrize("behave", FAULTS, ids=lambda behave: behave.__name__)
def test_a_fault_is_one_clear_error_and_the_next_question_is_fine(behave: object) -> None:
    with fake(behave) as server, pool(server) as asked:  # type: ignore[arg-type]
        assert FAULTS[behave] in failure(asked)  # type: ignore[index]
        server.behaves(hello)
        assert asked.ask([GET], soon())[0].body == b"hello"


def test_nobody_who_listens_and_no_such_host_are_clear_errors() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        with pool(f"http://127.0.0.1:{taken.getsockname()[1]}") as asked:
            assert "nothing listens there" in failure(asked)
            with pytest.raises(ModelFailed, match="nothing listens there"):
                asked.reach(soon())


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70])
def test_a_host_that_is_none_is_a_clear_error(host: str) -> None:
    with pool(f"http://{host}:80") as asked:
        assert "it cannot be reached" in failure(asked)
        with pytest.raises(ModelFailed, match="it cannot be reached"):
            asked.reach(soon())


def test_a_body_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LONGEST", 1 << 20)
    with fake(lambda handler: handler.say(b"x" * (3 << 20))) as server, pool(server) as asked:
        assert "more than 1 MB" in failure(asked)


def test_an_answer_that_does_not_come_is_given_up_at_its_deadline() -> None:
    release = threading.Event()

    def hangs(handler: Handler) -> None:
        release.wait(SECONDS)
        handler.say(b"late")

    with fake(hangs) as server, pool(server) as asked:
        with pytest.raises(Slow):
            asked.ask([GET], soon(0.1))
        release.set()
        server.behaves(hello)
        assert asked.ask([GET], soon())[0].body == b"hello"


def test_a_server_that_sends_a_byte_now_and_then_does_not_outlast_the_deadline() -> None:
    release = threading.Event()

    def drips(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", "100000")
        handler.send_header("connection", "close")  # its socket is the reply's then
        handler.end_headers()
        while not release.wait(0.02):
            handler.wfile.write(b".")

    with fake(drips) as server, pool(server) as asked:
        with pytest.raises(Slow):
            asked.ask([GET], soon(0.15))
        server.behaves(hello)
        assert asked.ask([GET], soon())[0].body == b"hello"  # the only thread is free again
        release.set()


def test_one_request_that_fails_is_enough_and_says_why() -> None:
    def second(handler: Handler) -> None:
        half(handler) if handler.path == "/1" else hello(handler)

    with fake(second) as server, pool(server, 2) as asked:
        requests = [Request(method="GET", target=f"/{number}") for number in range(6)]
        with pytest.raises(ModelFailed, match="broke off"):
            asked.ask(requests, soon())
