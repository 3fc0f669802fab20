"""A real nats-server, started, killed and started again."""

from __future__ import annotations

import asyncio
import signal
import stat
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from podium.errors import NodeError
from podium.node.broker import OVERRIDE, Broker, BrokerSign, find_binary
from podium.node.process import start
from podium.streams.nats import NatsStream

PATIENCE = 10.0


@pytest.fixture
def broker(tmp_path: Path) -> Broker:
    return Broker.choose(run_dir=tmp_path / "run", store=tmp_path / "stream", sync_always=True)


async def started(broker: Broker, log: Path) -> subprocess.Popen[bytes]:
    spec = broker.spec()
    process = start(spec, log)
    async with asyncio.timeout(PATIENCE):
        while not await spec.sign.look(process.pid):
            assert process.poll() is None, log.read_text()
            await asyncio.sleep(0.01)
    return process


def ended(process: subprocess.Popen[bytes], signum: int) -> None:
    process.send_signal(signum)
    process.wait(PATIENCE)


async def test_what_it_keeps_survives_a_hard_kill_on_the_same_port(broker: Broker, tmp_path: Path) -> None:
    first = await started(broker, tmp_path / "log")
    try:
        async with NatsStream(broker.url, "diabetes") as stream:
            stream.publish("input", b"one")
            async with asyncio.timeout(PATIENCE):
                while not await stream.read(0, 10, 0.1):
                    pass
    finally:
        ended(first, signal.SIGKILL)
    second = await started(broker, tmp_path / "log")
    try:
        async with NatsStream(broker.url, "diabetes") as stream:
            assert [kept.payload for kept in await stream.read(0, 10, 1.0)] == [b"one"]
    finally:
        ended(second, signal.SIGTERM)


async def test_it_lets_nobody_in_without_the_password_of_this_run(broker: Broker, tmp_path: Path) -> None:
    process = await started(broker, tmp_path / "log")
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
        await reader.readline()
        writer.write(b'CONNECT {"verbose": false}\r\nPING\r\n')
        assert b"Authorization" in await reader.readline()
        writer.close()
    finally:
        ended(process, signal.SIGTERM)


@pytest.mark.parametrize(
    ("health", "free", "lives"),
    [
        ('{"status": "ok"}', 2**30, True),
        ('{"status": "unavailable", "error": "stream write error: no space left"}', 4096, True),
        ('{"status": "unavailable", "error": "stream write error: no space left"}', 2**30, False),
        ('{"status": "unavailable", "error": "something else"}', 2**30, True),
    ],
)
async def test_a_server_that_cannot_write_counts_as_dead_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, health: str, free: int, lives: bool
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"jetstream": true}\r\n')
        async with asyncio.timeout(PATIENCE):
            while not (await reader.readline()).startswith(b"PUB $SYS.REQ.SERVER.PING.HEALTHZ health 0"):
                pass
        writer.write(f"MSG health 1 {len(health)}\r\n{health}\r\n".encode())
        writer.close()

    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(total=2**40, free=free))
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        life = await BrokerSign(port, "secret", tmp_path).look(1)
    assert (life is not None) == lives


def test_its_configuration_is_for_the_owner_only(broker: Broker) -> None:
    broker.spec()
    assert stat.S_IMODE(broker.config.stat().st_mode) == 0o600
    assert '"always"' in broker.config.read_text()


def test_each_run_has_a_password_of_its_own(tmp_path: Path) -> None:
    one, two = (Broker.choose(run_dir=tmp_path, store=tmp_path) for _ in range(2))
    assert one.password != two.password


def test_another_server_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OVERRIDE, "/bin/sh")
    assert find_binary() == Path("/bin/sh").resolve()
    monkeypatch.setenv(OVERRIDE, "/nowhere")
    with pytest.raises(NodeError, match="/nowhere"):
        find_binary()
