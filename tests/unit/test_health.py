"""Probes are answered, and nonsense is not."""

from __future__ import annotations

import asyncio

import pytest

from podium.errors import NodeError
from podium.health import Health


async def asked(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("path", "ready", "status"),
    [("live", False, 200), ("ready", True, 200), ("ready", False, 503), ("metrics", True, 404)],
)
async def test_a_probe_gets_its_answer(path: str, ready: bool, status: int) -> None:
    async with Health(0, lambda: ready) as health:
        reply = await asked(health.port, f"GET /{path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
    assert reply.startswith(b"HTTP/1.1 %d " % status)


async def test_a_head_without_end_gets_none() -> None:
    async with Health(0, lambda: True) as health:
        assert await asked(health.port, b"GET /live HTTP/1.1\r\n" + b"x: y\r\n" * 5000) == b""


async def test_a_port_that_another_has_is_said() -> None:
    async with Health(0, lambda: True) as first:
        with pytest.raises(NodeError, match=f"cannot listen on port {first.port} for probes"):
            await Health(first.port, lambda: True).__aenter__()
