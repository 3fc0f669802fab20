"""HTTP/1.1 as the gateway speaks it: over real sockets, with an application that echoes."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.gateway.http1 import BODY_BUFFER_BYTES, HEAD_BYTES, App, Http1Server
from podium.gateway.rsgi import Protocol, ProtocolClosed, Scope

PATIENCE = 10.0
ONE = b"POST /echo?n=1 HTTP/1.1\r\nhost: here\r\ncontent-length: 3\r\n\r\none"
TWO = b"POST /echo?n=2 HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
TWO += b"2\r\ntw\r\n1\r\no\r\n0\r\n\r\n"


async def echo(scope: Scope, protocol: Protocol) -> None:
    """Answers with what it was asked, and with the body."""
    body = protocol.whole
    if body is None and "content-length" in scope.headers:
        body = await protocol()
    elif body is None:
        body = b"".join([part async for part in protocol])
    head = f"{scope.method} {scope.path} {scope.query_string} ".encode()
    protocol.response_bytes(200, [("x-host", scope.headers.get("host", ""))], head + body)


class Client:
    """A connection that sends bytes and reads responses."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def close(self) -> None:
        self.writer.transport.abort()
        with suppress(OSError):
            await self.writer.wait_closed()

    def send(self, content: bytes) -> None:
        self.writer.write(content)

    async def response(self, *, body: bool = True) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(PATIENCE):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.split(": ", 1) for line in head[1:] if line)
            length = int(headers.get("content-length", 0)) if body else 0
            return int(head[0].split()[1]), headers, await self._reader.readexactly(length)

    async def is_closed(self) -> bool:
        async with asyncio.timeout(PATIENCE):
            try:
                return await self._reader.read(1) == b""
            except ConnectionResetError:
                return True


class Site:
    """A server, and clients of it that are closed with it."""

    def __init__(self, server: Http1Server) -> None:
        self.server = server
        self._clients: list[Client] = []

    async def client(self) -> Client:
        host, port = self.server.address
        self._clients.append(Client(*await asyncio.open_connection(host, port)))
        return self._clients[-1]

    async def leave(self) -> None:
        for client in self._clients:
            await client.close()


@asynccontextmanager
async def serving(app: App, *, head_seconds: float = PATIENCE) -> AsyncIterator[Site]:
    listener = socket.create_server(("127.0.0.1", 0))
    async with Http1Server(app, listener, head_seconds=head_seconds, backlog=16) as server:
        site = Site(server)
        try:
            yield site
        finally:
            await site.leave()


async def test_requests_of_one_connection_are_answered_in_their_order() -> None:
    async with serving(echo) as site:
        client = await site.client()
        for content in (ONE, TWO, b"GET /x HTTP/1.1\r\n\r\n"):
            client.send(content)
        found = [await client.response() for _ in range(3)]
    assert [body for _, _, body in found] == [b"POST /echo n=1 one", b"POST /echo n=2 two", b"GET /x  "]
    assert {headers["connection"] for _, headers, _ in found} == {"keep-alive"}
    assert found[0][1]["x-host"] == found[1][1]["x-host"] == "here"


async def test_a_later_request_does_not_overtake_an_earlier_one() -> None:
    async def first_is_slow(scope: Scope, protocol: Protocol) -> None:
        await asyncio.sleep(0.05 if scope.path == "/1" else 0)
        protocol.response_bytes(200, [], scope.path.encode())

    async with serving(first_is_slow) as site:
        client = await site.client()
        client.send(b"".join(f"GET /{n} HTTP/1.1\r\n\r\n".encode() for n in range(1, 41)))
        assert [(await client.response())[2] for _ in range(40)] == [f"/{n}".encode() for n in range(1, 41)]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, len(ONE + TWO) - 1), max_size=12))
def test_it_does_not_matter_where_the_bytes_are_cut(cuts: list[int]) -> None:
    async def answers() -> list[bytes]:
        async with serving(echo) as site:
            client = await site.client()
            places = [0, *sorted(set(cuts)), len(ONE + TWO)]
            for start, end in pairwise(places):
                client.send((ONE + TWO)[start:end])
                await client.writer.drain()
                await asyncio.sleep(0)
            return [(await client.response())[2] for _ in range(2)]

    assert asyncio.run(answers()) == [b"POST /echo n=1 one", b"POST /echo n=2 two"]


async def test_a_body_that_waits_for_leave_gets_it_when_somebody_reads() -> None:
    async with serving(echo) as site:
        client = await site.client()
        client.send(b"POST / HTTP/1.1\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n")
        assert (await client.response())[0] == 100
        client.send(b"hi")
        assert (await client.response())[2] == b"POST /  hi"


@pytest.mark.parametrize(
    ("head", "connection"),
    [
        (b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n", "close"),
        (b"GET / HTTP/1.0\r\n\r\n", "close"),
        (b"GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", "close"),
        (b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n", "keep-alive"),
    ],
)
async def test_a_connection_stays_or_closes_as_the_client_wishes(head: bytes, connection: str) -> None:
    async with serving(echo) as site:
        client = await site.client()
        client.send(head)
        status, headers, _ = await client.response()
        assert (status, headers["connection"]) == (200, connection)
        if connection == "close":
            assert await client.is_closed()
        else:
            client.send(head)
            assert (await client.response())[0] == 200


async def test_head_gets_the_length_and_no_body() -> None:
    async with serving(echo) as site:
        client = await site.client()
        client.send(b"HEAD /x HTTP/1.1\r\n\r\n" + ONE)
        assert (await client.response(body=False))[1]["content-length"] == str(len(b"HEAD /x  "))
        assert (await client.response())[2] == b"POST /echo n=1 one"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"http://here/a/b?c=d", b"/a/b c=d"),
        (b"/order%2F17%2050%25?c=%20", b"/order/17 50% c=%20"),
        (b"/?", b"/ "),
    ],
)
async def test_a_target_becomes_a_decoded_path_and_a_query(target: bytes, path: bytes) -> None:
    async with serving(echo) as site:
        client = await site.client()
        client.send(b"GET " + target + b" HTTP/1.1\r\nhost: here\r\n\r\n")
        assert (await client.response())[2] == b"GET " + path + b" "


@pytest.mark.parametrize(
    "content",
    [
        b"hello\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nx: " + b"y" * 2 * HEAD_BYTES,
    ],
)
async def test_what_is_not_http_is_refused_as_a_problem_and_cut_off(content: bytes) -> None:
    async with serving(echo) as site:
        client = await site.client()
        client.send(content)
        status, headers, body = await client.response()
        assert (status, headers["connection"]) == (400, "close")
        assert json.loads(body)["detail"]
        assert await client.is_closed()


async def test_an_answer_that_is_due_goes_out_before_the_connection_is_cut() -> None:
    async def slow(scope: Scope, protocol: Protocol) -> None:
        await asyncio.sleep(0.05)
        await echo(scope, protocol)

    async with serving(slow) as site:
        client = await site.client()
        client.send(ONE)
        await asyncio.sleep(0.01)
        client.send(b"this is not HTTP\r\n\r\n")
        assert (await client.response())[2] == b"POST /echo n=1 one"
        assert await client.is_closed()


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nx-slow: "])
async def test_who_takes_too_long_for_the_headers_is_cut_off(begun: bytes) -> None:
    async with serving(echo, head_seconds=0.1) as site:
        client = await site.client()
        client.send(begun)
        if begun:
            assert (await client.response())[0] == 408
        assert await client.is_closed()


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_told_to_who_reads_it() -> None:
    seen: list[Exception] = []

    async def read(scope: Scope, protocol: Protocol) -> None:
        try:
            await echo(scope, protocol)
        except ProtocolClosed as error:
            seen.append(error)

    async with serving(read) as site:
        for head in (b"content-length: 9", b"transfer-encoding: chunked"):
            client = await site.client()
            client.send(b"POST / HTTP/1.1\r\n" + head + b"\r\n\r\n5\r\n")
            await asyncio.sleep(0.02)
            await client.close()
        await until(lambda: len(seen) == 2)
        await until(lambda: not site.server.connections)


async def test_an_answer_before_the_body_ends_is_read_and_the_connection_closes() -> None:
    async def refuse(scope: Scope, protocol: Protocol) -> None:
        protocol.response_bytes(404, [], b"no")

    async with serving(refuse) as site:
        client = await site.client()
        client.send(b"POST / HTTP/1.1\r\ncontent-length: 100000\r\n\r\n" + bytes(50_000))
        assert (await client.response())[1:][0]["connection"] == "close"
        client.send(bytes(50_000))
        assert await client.is_closed()


async def test_a_body_that_nobody_reads_makes_its_client_wait() -> None:
    async def look_away(scope: Scope, protocol: Protocol) -> None:
        await asyncio.sleep(PATIENCE)

    async with serving(look_away) as site:
        client = await site.client()
        client.send(b"POST / HTTP/1.1\r\ncontent-length: 100000000\r\n\r\n" + bytes(20_000_000))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.writer.drain()
        (connection,) = site.server.connections
        assert connection.buffered < BODY_BUFFER_BYTES + 1_000_000


async def test_stopping_answers_what_is_in_flight_and_closes_the_rest() -> None:
    begun = asyncio.Event()

    async def slow(scope: Scope, protocol: Protocol) -> None:
        begun.set()
        await asyncio.sleep(0.05)
        await echo(scope, protocol)

    async with serving(slow) as site:
        busy, idle = await site.client(), await site.client()
        busy.send(ONE)
        await begun.wait()
        await site.server.stop(PATIENCE)
        status, headers, _ = await busy.response()
        assert (status, headers["connection"]) == (200, "close")
        assert await busy.is_closed()
        assert await idle.is_closed()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.005)
