"""The decoy: archives exactly what a model is sent."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tests.unit.workers.stage import LINEAR, STORE, Listener, message, now, times

from podium.counters import Board, read, total
from podium.streams.memory import MemoryBroker, MemoryStream
from podium.workers.decoy import Decoy
from podium.workers.worker import Worker


@pytest.fixture
def board(tmp_path: Path) -> Board:
    with Board(tmp_path / "decoy.board") as board:
        return board


async def test_the_decoy_keeps_the_very_bytes_that_the_workers_get(board: Board) -> None:
    sent = [message([1.0, 2.0], seq=1), message([3.0], seq=2, keys=["a"])]
    async with MemoryStream(MemoryBroker()) as stream:
        kept, scores = Listener(), Listener()
        await stream.subscribe("decoy", kept)
        await stream.subscribe("scores.gateway-1", scores)
        async with Decoy(stream, board), Worker(LINEAR, times(2), stream, board, STORE):
            for payload in sent:
                stream.publish("input", payload)
            frames = await kept.first(2)
            await scores.first(2)
    assert [frame.input for frame in frames] == sent
    assert [frame.seq for frame in frames] == [1, 2]
    assert (frames[0].endpoint, frames[0].revision) == ("diabetes", 3)
    assert frames[0].done <= now()
    assert len({frame.source for frame in frames}) == 1


async def test_of_a_large_frame_it_keeps_the_digest_of_the_very_bytes(board: Board) -> None:
    small = message([1.0], seq=1)
    large = message([float(n) for n in range(2048)], seq=2)
    async with MemoryStream(MemoryBroker()) as stream:
        kept = Listener()
        await stream.subscribe("decoy", kept)
        async with Decoy(stream, board):
            stream.publish("input", large)
            stream.publish("input", small)
            seen, bytes_ = await kept.first(2)
    assert (seen.origin, seen.frame, seen.digest) == ("gateway-1", 2, hashlib.sha256(large).digest())
    assert (seen.source, seen.seq + 1) == (bytes_.source, bytes_.seq)
    assert bytes_.input == small


async def test_it_counts_requests_and_says_when_it_is_there(board: Board) -> None:
    async with MemoryStream(MemoryBroker()) as stream:
        kept = Listener()
        await stream.subscribe("decoy", kept)
        async with Decoy(stream, board):
            assert total(read(board.path), "ready", model="decoy") == 1
            stream.publish("input", message([1.0, 2.0]))
            await kept.first(1)
    assert total(read(board.path), "scored", model="decoy") == 2
    assert total(read(board.path), "ready", model="decoy") == 0


async def test_what_cannot_be_kept_is_left_out_and_not_numbered(board: Board) -> None:
    large, small = message([1.0], seq=1, keys=["k" * 1000]), message([2.0], seq=2)
    async with MemoryStream(MemoryBroker(max_payload=len(large))) as stream:
        kept = Listener()
        await stream.subscribe("decoy", kept)
        async with Decoy(stream, board):
            for payload in (b"junk", small[:-1], large, small):
                stream.publish("input", payload)
            (frame,) = await kept.first(1)
    assert (frame.input, frame.seq) == (small, 1)
