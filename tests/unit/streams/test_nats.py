"""What the NATS adapter tells beyond the seam that all adapters share."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from podium.node.broker import Broker
from podium.node.process import start
from podium.streams.nats import NatsStream

PATIENCE = 20.0


class Server:
    """A real broker that can be made to hang."""

    def __init__(self, broker: Broker, log: Path) -> None:
        spec = broker.spec()
        self.url = broker.url
        self._process = start(spec, log)

    def send(self, signum: int) -> None:
        self._process.send_signal(signum)

    def end(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    found = Server(Broker.choose(run_dir=tmp_path, store=tmp_path / "stream"), tmp_path / "log")
    yield found
    found.end()


async def test_messages_that_the_broker_does_not_confirm_are_overdue_until_it_does(server: Server) -> None:
    overdue: list[int] = []
    async with NatsStream(server.url, "diabetes", overdue=overdue.append) as stream:
        stream.publish("input", b"one")
        async with asyncio.timeout(PATIENCE):
            while not await stream.read(0, 10, 0.1):
                pass
        assert not any(overdue)
        server.send(signal.SIGSTOP)
        for payload in (b"two", b"three"):
            await asyncio.sleep(0.06)  # longer than it takes to ask for the next confirmation
            stream.publish("input", payload)
        async with asyncio.timeout(PATIENCE):
            while not any(overdue):
                await asyncio.sleep(0.01)
        assert overdue[-1] == 2
        server.send(signal.SIGCONT)
        async with asyncio.timeout(PATIENCE):
            while overdue[-1]:
                await asyncio.sleep(0.01)


async def test_a_server_that_is_silent_or_not_there_holds_up_nobody_where_the_url_has_another(
    server: Server,
) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    credentials, _, place = server.url.rpartition("@")
    first = silent.sockets[0].getsockname()[1]
    async with silent, asyncio.timeout(PATIENCE):
        url = f"{credentials}@127.0.0.1:{first},127.0.0.1:1,{place}"
        async with NatsStream(url, "diabetes") as stream:
            stream.publish("answers", b"kept")
            assert [kept.payload for kept in await stream.read(0, 10, 5.0)] == [b"kept"]
