"""A broker in memory for gateways and workers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.gateway.world import World

from podium.counters import Board
from podium.streams.memory import MemoryBroker, MemoryStream


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    broker = MemoryBroker()
    with Board(tmp_path / "test.board") as board:
        async with MemoryStream(broker) as stream:
            yield World(broker, stream, board)
