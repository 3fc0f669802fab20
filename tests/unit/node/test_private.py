"""A broker for one command: it comes back where it was, and leaves nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from podium.node.private import PrivateBroker
from podium.streams.connect import connect


async def test_it_is_a_broker_that_can_crash_and_leaves_neither_file_nor_listener(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    heard = asyncio.Event()
    async with PrivateBroker() as broker, connect(broker.url, "e") as stream:
        await stream.subscribe("own.x", lambda payload: heard.set())
        await broker.crash()
        async with asyncio.timeout(5):
            while not stream.connected:
                await asyncio.sleep(0.02)
            stream.publish("own.x", b"still there")
            await heard.wait()
        port = int(broker.url.rpartition(":")[2])
        assert list(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection("127.0.0.1", port)
