"""A worker on a stream: every frame is answered once, whatever is in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.unit.workers.stage import LINEAR, STORE, Listener, Model, input_frame, message, now, times, until

from podium.counters import Board, distribution, read, total
from podium.protocol.frames import ProbeFrame, ScoresFrame, encode, pack, unpack
from podium.schema import Field, Kind, Schema
from podium.streams.memory import MemoryBroker, MemoryStream
from podium.workers.worker import Worker


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
async def stream(broker: MemoryBroker) -> AsyncIterator[MemoryStream]:
    async with MemoryStream(broker) as stream:
        yield stream


@pytest.fixture
async def scores(stream: MemoryStream) -> Listener:
    listener = Listener()
    await stream.subscribe("scores.gateway-1", listener)
    return listener


@pytest.fixture
def board(tmp_path: Path) -> Board:
    with Board(tmp_path / "worker.board") as board:
        return board


def values(frame: ScoresFrame) -> list[Any]:
    return [] if not frame.columns else unpack(frame.columns)["y"].tolist()


def ids(frame: ScoresFrame) -> Any:
    return msgspec.msgpack.decode(frame.ids)


async def test_a_frames_scores_go_to_its_return_address(
    stream: MemoryStream, scores: Listener, board: Board
) -> None:
    async with Worker(LINEAR, times(2), stream, board, STORE):
        stream.publish("input", message([1.0, 2.0, 3.0], seq=7, rows=[2, 1]))
        (frame,) = await scores.first(1)
    assert values(frame) == [2.0, 4.0, 6.0]
    assert (frame.model, frame.version, frame.role) == ("linear", "9f2c1ab04d5e", "champion")
    assert (frame.origin, frame.frame, frame.endpoint, frame.revision) == ("gateway-1", 7, "diabetes", 3)
    assert (ids(frame), frame.rows) == (["7.0", "7.1"], [2, 1])
    assert (frame.error, frame.errors, frame.late) == (None, None, None)
    assert frame.done <= now()
    assert min(frame.queue_ms, frame.compute_ms) >= 0


async def test_the_workers_of_one_contender_share_its_frames(
    broker: MemoryBroker, stream: MemoryStream, scores: Listener, board: Board
) -> None:
    async with (
        MemoryStream(broker) as other,
        Worker(LINEAR, times(2), stream, board, STORE),
        Worker(LINEAR, times(2), other, board, STORE),
    ):
        for seq in range(6):
            stream.publish("input", message([1.0], seq=seq))
        found = await scores.first(6)
    assert sorted(frame.frame for frame in found) == list(range(6))
    assert len({frame.source for frame in found}) == 2


async def test_what_a_worker_sends_is_numbered_in_order(
    stream: MemoryStream, scores: Listener, board: Board
) -> None:
    async with Worker(LINEAR, times(2), stream, board, STORE):
        for value in (1.0, 13.0, 2.0):
            stream.publish("input", message([value]))
        found = await scores.first(3)
    assert [frame.seq for frame in found] == [1, 2, 3]


async def test_frames_that_wait_are_one_prediction(
    stream: MemoryStream, scores: Listener, board: Board
) -> None:
    model = times(2)
    async with Worker(LINEAR, model, stream, board, STORE):
        for seq in range(5):
            stream.publish("input", message([float(seq)], seq=seq))
        found = await scores.first(5)
    assert [values(frame) for frame in found] == [[0.0], [2.0], [4.0], [6.0], [8.0]]
    assert model.asked == [5]


async def test_a_prediction_takes_no_further_frame_once_it_has_its_rows(
    stream: MemoryStream, scores: Listener, board: Board
) -> None:
    model = times(2)
    async with Worker(LINEAR, model, stream, board, STORE, batch_rows=4):
        for seq in range(5):
            stream.publish("input", message([1.0, 2.0, 3.0], seq=seq))
        await scores.first(5)
    assert model.asked == [6, 6, 3]


async def test_a_model_that_fails_says_so_at_once(
    stream: MemoryStream, scores: Listener, board: Board
) -> None:
    async with Worker(LINEAR, times(2), stream, board, STORE):
        stream.publish("input", message([13.0]))
        stream.publish("input", message([1.0, 13.0]))
        alone, beside = await scores.first(2)
    assert (alone.error, alone.columns) == ("ValueError: I do not like 13", {})
    assert (beside.error, beside.errors) == (None, {1: "ValueError: I do not like 13"})
    assert values(beside) == [2.0, 0.0]


async def test_scores_past_their_deadline_are_sent_and_called_late(
    stream: MemoryStream, scores: Listener, board: Board
) -> None:
    deadlines = [now() - 1, now() + 60_000_000]
    async with Worker(LINEAR, times(2), stream, board, STORE):
        stream.publish("input", message([1.0, 2.0], deadline=deadlines))
        (frame,) = await scores.first(1)
    assert (frame.late, values(frame)) == ([0], [2.0, 4.0])


async def test_a_frame_that_has_expired_is_not_scored(
    stream: MemoryStream, scores: Listener, board: Board
) -> None:
    model = times(2)
    async with Worker(LINEAR, model, stream, board, STORE):
        stream.publish("input", message([1.0, 1.0], seq=1, expires=now() - 1))
        stream.publish("input", message([2.0], seq=2))
        found = await scores.first(1)
    assert ([frame.frame for frame in found], model.asked) == ([2], [1])


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"junk",
        message([1.0])[:-1],
        encode(msgspec.structs.replace(input_frame([1.0]), v=2)),
        encode(ProbeFrame(endpoint="diabetes", revision=1, source="g", seq=0, reply="r")),
    ],
)
async def test_junk_is_dropped_and_the_next_frame_scored(
    stream: MemoryStream, scores: Listener, board: Board, junk: bytes
) -> None:
    async with Worker(LINEAR, times(2), stream, board, STORE):
        stream.publish("input", junk)
        stream.publish("input", message([1.0], seq=2))
        found = await scores.first(1)
    assert [frame.frame for frame in found] == [2]


async def test_a_frame_that_contradicts_itself_is_an_error_and_the_next_is_scored(
    stream: MemoryStream, scores: Listener, board: Board
) -> None:
    async with Worker(LINEAR, times(2), stream, board, STORE):
        stream.publish("input", message([1.0, 2.0], seq=1, rows=[1]))
        stream.publish("input", message([1.0], seq=2))
        wrong, right = await scores.first(2)
    assert (wrong.error is None, right.error) == (False, None)


async def test_text_that_no_message_can_carry_does_not_end_the_worker(
    stream: MemoryStream, scores: Listener, board: Board
) -> None:
    outputs = Schema((Field(name="y", type=Kind.STRING),))
    texts = iter(["\ud800", "fine"])
    model = Model(lambda columns: {"y": np.array([next(texts)])}, outputs=outputs)
    async with Worker(LINEAR, model, stream, board, STORE):
        stream.publish("input", message([1.0], seq=1))
        await until(lambda: len(model.asked) == 1)
        stream.publish("input", message([1.0], seq=2))
        found = await scores.first(1)
    assert (found[0].frame, found[0].seq, values(found[0])) == (2, 1, ["fine"])


async def test_scores_that_are_too_large_are_an_error(tmp_path: Path, board: Board) -> None:
    wide = Schema((Field(name="y", type=Kind.FLOAT, shape=(1000,)),))
    model = Model(lambda columns: {"y": np.zeros((1, 1000))}, outputs=wide)
    async with MemoryStream(MemoryBroker(max_payload=4000)) as stream:
        scores = Listener()
        await stream.subscribe("scores.gateway-1", scores)
        async with Worker(LINEAR, model, stream, board, STORE):
            stream.publish("input", message([1.0]))
            (frame,) = await scores.first(1)
    assert frame.error.startswith("the scores are too large")
    assert (frame.seq, frame.columns) == (1, {})


async def test_everything_is_counted(stream: MemoryStream, scores: Listener, board: Board) -> None:
    async with Worker(LINEAR, times(2), stream, board, STORE):
        assert total(read(board.path), "ready", model="linear") == 1
        stream.publish("input", message([1.0, 13.0, 2.0], deadline=[now() - 1, now() - 1, now() + 10**8]))
        await scores.first(1)
    counts = read(board.path)
    counted = {
        name: total(counts, name, model="linear", version="9f2c1ab04d5e") for name in ("scored", "errors")
    }
    assert counted == {"scored": 2, "errors": 1}
    assert total(counts, "late") == 2
    assert distribution(counts, "compute_ms").count == distribution(counts, "queue_ms").count == 3
    assert total(counts, "ready") == 0


async def test_a_worker_that_leaves_takes_nothing_new_and_scores_what_it_has(
    stream: MemoryStream, scores: Listener, board: Board
) -> None:
    async with Worker(LINEAR, times(2), stream, board, STORE):
        for seq in range(3):
            stream.publish("input", message([1.0], seq=seq))
    stream.publish("input", message([1.0], seq=3))
    await asyncio.sleep(0)
    assert [frame.frame for frame in await scores.first(3)] == [0, 1, 2]
    assert len(scores.frames) == 3


async def test_a_probe_is_answered_without_a_score(stream: MemoryStream, board: Board) -> None:
    answers = Listener()
    await stream.subscribe("probed.1", answers)
    probe = ProbeFrame(endpoint="diabetes", revision=3, source="gateway-1", seq=5, reply="probed.1")
    async with Worker(LINEAR, times(2), stream, board, STORE):
        stream.publish(f"probe.{LINEAR.name}", b"junk")
        stream.publish(f"probe.{LINEAR.name}", encode(probe))
        (frame,) = await answers.first(1)
    assert (frame.model, frame.version, frame.origin, frame.frame) == (
        "linear",
        LINEAR.version,
        "gateway-1",
        5,
    )
    assert (ids(frame), frame.columns, frame.seq) == ([], {}, 0)
    assert total(read(board.path), "scored") == 0


async def test_the_columns_that_a_model_does_not_use_are_nothing_to_it(
    stream: MemoryStream, scores: Listener, board: Board
) -> None:
    columns = pack({"age": np.array([40]), "x": np.array([3.0]), "city": np.array(["Linz"], object)})
    async with Worker(LINEAR, times(2), stream, board, STORE):
        stream.publish("input", message([3.0], columns=columns))
        (frame,) = await scores.first(1)
    assert values(frame) == [6.0]
