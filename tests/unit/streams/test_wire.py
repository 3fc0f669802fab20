"""What the NATS connection makes of a server's bytes, however they are cut."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.errors import StreamAway
from podium.streams.wire import BUFFER_BYTES, KEPT_BUFFER_BYTES, Message, Wire

PATIENCE = 10.0


class Server:
    """Says what a NATS server says, to one client, in the pieces that a test wants."""

    def __init__(self, *, answers: bytes = b"PONG\r\n", tls: bool = False) -> None:
        self.heard = b""
        self._info = {"max_payload": 100, "tls_required": tls, "auth_required": True}
        self._answers = answers
        self._talking = asyncio.Event()

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        writer.write(b"INFO " + json.dumps(self._info).encode() + b"\r\n")
        self._talking.set()
        with suppress(OSError):
            while content := await reader.read(65536):
                self.heard += content
                for _ in range(content.count(b"PING\r\n")):
                    writer.write(self._answers)
        writer.close()

    async def say(self, content: bytes, cuts: list[int]) -> None:
        await self._talking.wait()
        places = [0, *sorted(cut for cut in set(cuts) if cut < len(content)), len(content)]
        for start, end in pairwise(places):
            self.writer.write(content[start:end])
            await self.writer.drain()
            await asyncio.sleep(0)

    async def leave(self) -> None:
        self.writer.transport.abort()
        with suppress(OSError):
            await self.writer.wait_closed()


@asynccontextmanager
async def listening(server: Server) -> AsyncIterator[str]:
    listener = await asyncio.start_server(server.meet, "127.0.0.1", 0)
    host, port = listener.sockets[0].getsockname()[:2]
    try:
        yield f"nats://user:pass%20word@{host}:{port}"
    finally:
        await server.leave()
        listener.close()


def nobody() -> None:
    """Nobody is told."""


def said(payload: bytes, *, reply: str = "") -> bytes:
    return f"MSG a.b 1 {reply} {len(payload)}\r\n".encode() + payload + b"\r\n"


SIZES = st.one_of(st.integers(0, 40), st.just(BUFFER_BYTES), st.just(BUFFER_BYTES + 7))


@settings(max_examples=30, deadline=None)
@given(st.lists(SIZES, min_size=1, max_size=8), st.lists(st.integers(1, 3 * BUFFER_BYTES), max_size=20))
def test_messages_are_the_same_wherever_their_bytes_are_cut(sizes: list[int], cuts: list[int]) -> None:
    payloads = [bytes([65 + n]) * size for n, size in enumerate(sizes)]

    async def received() -> list[Message]:
        server = Server()
        async with listening(server) as url:
            wire = await Wire.open(url, ended=nobody)
            found: list[Message] = []
            wire.listen("a.b", found.append)
            await server.say(b"".join(said(payload, reply="r") for payload in payloads), cuts)
            await until_there(found, len(payloads))
            wire.close()
            return found

    assert asyncio.run(received()) == [Message(payload, "a.b", "r", "") for payload in payloads]


async def test_a_buffer_that_a_large_message_needed_is_given_back() -> None:
    server = Server()
    async with listening(server) as url:
        wire = await Wire.open(url, ended=nobody)
        found: list[Message] = []
        wire.listen("a.b", found.append)
        await server.say(said(bytes(3 * KEPT_BUFFER_BYTES)) + said(b"small"), [])
        await until_there(found, 2)
        assert [len(message.payload) for message in found] == [3 * KEPT_BUFFER_BYTES, 5]
        assert len(wire.get_buffer(-1)) <= KEPT_BUFFER_BYTES
        wire.close()


async def test_what_the_server_says_in_a_header_is_the_messages_status() -> None:
    server = Server()
    async with listening(server) as url:
        wire = await Wire.open(url, ended=nobody)
        found: list[Message] = []
        wire.listen("a.b", found.append)
        head = b"NATS/1.0 503\r\n\r\n"
        await server.say(f"HMSG a.b 1 {len(head)} {len(head) + 2}\r\n".encode() + head + b"ab\r\n", [])
        await until_there(found, 1)
        assert found == [Message(b"ab", "a.b", "", "503")]
        wire.close()


async def test_it_introduces_itself_and_answers_the_servers_ping() -> None:
    server = Server()
    async with listening(server) as url:
        wire = await Wire.open(url, ended=nobody)
        about = json.loads(server.heard.split(b"\r\n")[0].removeprefix(b"CONNECT "))
        assert (about["user"], about["pass"], about["verbose"]) == ("user", "pass word", False)
        await server.say(b"PING\r\n", [])
        async with asyncio.timeout(PATIENCE):
            while b"PONG\r\n" not in server.heard:
                await asyncio.sleep(0.005)
        wire.close()


async def test_who_waits_for_an_answer_is_told_when_the_connection_ends() -> None:
    ended = asyncio.Event()
    server = Server()
    async with listening(server) as url:
        wire = await Wire.open(url, ended=ended.set)
        asking = asyncio.create_task(wire.request("nobody.answers", b"", seconds=PATIENCE))
        await asyncio.sleep(0.01)
        await server.leave()
        with pytest.raises(StreamAway):
            await asking
        assert ended.is_set()
        with pytest.raises(StreamAway):
            await wire.settle()


async def test_a_server_that_refuses_says_why() -> None:
    server = Server(answers=b"-ERR 'Authorization Violation'\r\n")
    async with listening(server) as url:
        opening = asyncio.create_task(Wire.open(url, ended=nobody))
        await asyncio.sleep(0.05)
        await server.leave()
        with pytest.raises(StreamAway, match="Authorization Violation"):
            await opening


async def test_a_password_is_not_sent_to_a_server_that_asks_for_tls() -> None:
    server = Server(tls=True)
    async with listening(server) as url:
        with pytest.raises((StreamAway, OSError)):
            async with asyncio.timeout(0.5):  # it answers no handshake
                await Wire.open(url, ended=nobody)
    assert b"pass" not in server.heard


async def test_a_password_meant_for_tls_is_not_sent_to_a_server_that_speaks_none() -> None:
    server = Server()
    async with listening(server) as url:
        with pytest.raises(StreamAway, match="does not speak TLS, so it is sent no password"):
            await Wire.open(url.replace("nats://", "tls://"), ended=nobody)
    assert b"pass" not in server.heard


async def until_there(found: list[Message], count: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            await asyncio.sleep(0.002)
