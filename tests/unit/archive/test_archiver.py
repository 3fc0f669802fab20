"""From the stream into the tables: nothing twice, nothing lost, and never in anybody's way."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from podium.archive import archiver as archiver_module
from podium.archive import sightings as sightings_module
from podium.archive.archiver import Archiver, limit_for
from podium.archive.entries import Entry
from podium.archive.table import Appended
from podium.archive.tables import Tables
from podium.counters import Board
from podium.errors import ProjectError
from podium.protocol.frames import (
    AnswersFrame,
    DecoyFrame,
    Frame,
    InputFrame,
    OutcomesFrame,
    ScoresFrame,
    SeenFrame,
    encode,
)
from podium.schema import Field, Kind, Schema
from podium.streams.memory import MemoryBroker, MemoryStream

from . import looking
from .traffic import ENDPOINT, INPUTS, MANY_ROWS, NOW, OUTPUTS, Process, ids, traffic

PATIENCE = 20.0
SUBJECTS = {
    InputFrame: "input",
    ScoresFrame: "scores.gateway-1",
    AnswersFrame: "answers",
    DecoyFrame: "decoy",
    SeenFrame: "decoy",
    OutcomesFrame: "outcomes",
}


@dataclass(kw_only=True)
class Scene:
    """A broker, a publisher's connection to it, and an archive."""

    broker: MemoryBroker
    stream: MemoryStream
    archive: str
    board: Board

    async def publish(self, *frames: Frame) -> None:
        for frame in frames:
            self.stream.publish(SUBJECTS[type(frame)], encode(frame))

    @asynccontextmanager
    async def archiving(
        self,
        *,
        inputs: Schema = INPUTS,
        watch: Callable[[Sequence[Entry[Any]]], None] = lambda entries: None,
    ) -> AsyncIterator[asyncio.Task[None]]:
        """An archiver at work; stopped, and waited for, at the end."""
        stop = asyncio.Event()
        async with MemoryStream(self.broker) as stream:
            archiver = Archiver(
                stream,
                archive=self.archive,
                endpoint=ENDPOINT,
                inputs=inputs,
                outputs=OUTPUTS,
                board=self.board,
                watch=watch,
            )
            task = asyncio.create_task(archiver.run(stop))
            try:
                yield task
            finally:
                stop.set()
                async with asyncio.timeout(PATIENCE):
                    await task

    def gauge(self, name: str) -> int:
        return self.board.gauge(name).value

    def counter(self, name: str) -> int:
        return self.board.counter(name).value


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with Board(tmp_path / "archiver.board") as board:
        yield board


@pytest.fixture
async def scene(tmp_path: Path, board: Board, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    for name, seconds in (("BATCH_SECONDS", 0.1), ("POLL_SECONDS", 0.02), ("FIRST_BACKOFF", 0.05)):
        monkeypatch.setattr(archiver_module, name, seconds)
    broker = MemoryBroker()
    async with MemoryStream(broker) as stream:
        yield Scene(broker=broker, stream=stream, archive=str(tmp_path / "archive"), board=board)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.01)


async def test_what_was_published_is_archived_once(scene: Scene) -> None:
    async with scene.archiving():
        await scene.publish(*traffic(20))
        await until(lambda: scene.gauge("archived") == 60)
    for table, each in {"requests": 1, "decoy": 1, "answers": 1, "scores": 2}.items():
        counts = Counter(looking.ids(scene.archive, table))
        assert (len(counts), set(counts.values())) == (60, {each})


async def test_who_watches_is_told_what_was_archived_once_and_that_nothing_came(scene: Scene) -> None:
    told: list[Sequence[Entry[Any]]] = []
    async with scene.archiving(watch=told.append):
        await scene.publish(*traffic(20))
        await until(lambda: scene.gauge("archived") == 60)
        await until(lambda: () in told)
    positions = [entry.position for entries in told for entry in entries]
    assert (len(positions), len(set(positions))) == (100, 100)


async def test_outcomes_are_archived_and_counted_corrections_too(scene: Scene) -> None:
    gateway, taker = Process(), Process("outcomes-1")
    async with scene.archiving():
        await scene.publish(gateway.input(["a"]), gateway.answers(["a"]))
        await scene.publish(taker.outcomes(["a"]), taker.outcomes(["a"], done=NOW + 9))
        await until(lambda: scene.gauge("outcomes_archived") == 2)
    async with scene.archiving():
        await until(lambda: scene.gauge("archived") == 1)
    assert looking.ids(scene.archive, "outcomes") == ["a", "a"]


async def test_a_contender_that_scored_and_is_reported_missing_has_one_score(scene: Scene) -> None:
    worker, gateway = Process("worker-1"), Process("gateway-1")
    missing = gateway.scores(["a"], {}, frame=1, error="no score within 5 s")
    async with scene.archiving():
        await scene.publish(worker.scores(["a"], frame=1), missing, gateway.answers(["a"]))
        await until(lambda: scene.gauge("archived") == 1)
    assert looking.ids(scene.archive, "scores") == ["a"]
    assert scene.counter("duplicates") == 1


async def test_stopping_archives_what_the_stream_still_holds(scene: Scene) -> None:
    await scene.publish(*traffic(10))
    async with scene.archiving() as task:
        await until(lambda: scene.gauge("beat") > 0)
    assert task.done()
    assert scene.gauge("archived") == 30


async def test_the_count_of_archived_requests_goes_on_after_a_restart(scene: Scene) -> None:
    frames = traffic(8)
    async with scene.archiving():
        await scene.publish(*frames[:20])
    scene.board.gauge("archived").set(0)
    async with scene.archiving():
        await until(lambda: scene.gauge("archived") == 12)
        await scene.publish(*frames[20:])
    assert scene.gauge("archived") == 24
    assert sorted(looking.ids(scene.archive, "answers")) == sorted(
        set(looking.ids(scene.archive, "requests"))
    )


async def test_what_is_archived_is_trimmed_from_the_stream(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiver_module, "TRIM_SECONDS", 0.05)
    async with scene.archiving():
        await scene.publish(*traffic(4))
        await until(lambda: scene.gauge("archived") == 12 and not scene.broker.read(0, 1))


async def test_messages_that_a_returning_broker_repeats_are_archived_once(scene: Scene) -> None:
    frames = traffic(12)
    async with scene.archiving():
        await scene.publish(*frames[:30])
        await until(lambda: scene.gauge("archived") > 0)
        scene.broker.crash(losing=7)
        await scene.publish(*frames[30:45])
        scene.broker.start()
        await scene.publish(*frames[45:])
        await until(lambda: scene.gauge("archived") == 36)
    assert scene.counter("duplicates") > 0
    assert set(Counter(looking.ids(scene.archive, "answers")).values()) == {1}
    assert set(Counter(looking.ids(scene.archive, "scores")).values()) == {2}


async def test_the_archiver_survives_a_broker_that_is_away_for_a_while(scene: Scene) -> None:
    async with scene.archiving() as task:
        scene.broker.crash()
        await asyncio.sleep(0.2)
        assert not task.done()
        scene.broker.start()
        await scene.publish(*traffic(2))
        await until(lambda: scene.gauge("archived") == 6)


# --- what the decoy saw ---------------------------------------------------------------------


def large(gateway: Process, id: str, **more: Any) -> InputFrame:
    return gateway.input([id], rows=[3 * MANY_ROWS], **more)


def saw(scene: Scene) -> Counter[str]:
    """How many rows of each request the decoy's table has."""
    return Counter(looking.ids(scene.archive, "decoy"))


async def test_what_the_decoy_saw_and_sent_the_digest_of_is_archived_once(scene: Scene) -> None:
    async with scene.archiving():
        await scene.publish(*traffic(5, rows=MANY_ROWS))
        await until(lambda: scene.gauge("archived") == 15)
    assert (len(saw(scene)), set(saw(scene).values())) == (15, {MANY_ROWS})
    requests, decoy = (
        [(row["id"], row["row"], row["in_bmi"]) for row in looking.rows(scene.archive, table)]
        for table in ("requests", "decoy")
    )
    assert decoy == requests


async def test_a_frame_stays_in_the_stream_until_the_decoy_says_what_it_saw(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiver_module, "TRIM_SECONDS", 0.05)
    gateway, decoy = Process(), Process("decoy-1")
    first, second = large(gateway, "a"), large(gateway, "b")
    async with scene.archiving():  # it ends before the decoy says anything
        await scene.publish(first, second, gateway.answers(["a"]), gateway.answers(["b"]))
        await until(lambda: scene.gauge("archived") == 2)
    async with scene.archiving():
        await scene.publish(decoy.seen(first), decoy.seen(second))
        await until(lambda: not scene.broker.read(0, 1))
    assert saw(scene) == {"a": 3 * MANY_ROWS, "b": 3 * MANY_ROWS}
    assert Counter(looking.ids(scene.archive, "requests")) == saw(scene)


async def test_after_a_crash_of_the_broker_what_the_decoy_saw_may_come_before_the_frame(scene: Scene) -> None:
    one, two, decoy = Process("gateway-1"), Process("gateway-2"), Process("decoy-1")
    first, second = large(one, "a"), large(two, "b")
    sightings = [decoy.seen(first), decoy.seen(second)]
    async with scene.archiving():
        await scene.publish(*sightings, second, two.answers(["b"]))
        await until(lambda: scene.gauge("archived") == 1)
    async with scene.archiving():
        await scene.publish(first, *sightings, first, one.answers(["a"]))
        await until(lambda: scene.gauge("archived") == 2)
    assert saw(scene) == {"a": 3 * MANY_ROWS, "b": 3 * MANY_ROWS}
    assert scene.counter("unproven") == 0


async def test_what_the_decoy_saw_and_was_not_kept_is_counted_and_said(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sightings_module, "WAIT_SECONDS", 0.0)
    gateway, decoy = Process(), Process("decoy-1")
    sent, never = large(gateway, "a"), large(gateway, "b")
    other = replace(sent, keys=["another"])
    async with scene.archiving():
        after = large(gateway, "c")
        await scene.publish(sent, decoy.seen(other), decoy.seen(never), after, decoy.seen(after))
        await until(lambda: scene.counter("unproven") == 2)
    assert saw(scene) == {"c": 3 * MANY_ROWS}
    assert "the decoy's table lacks it" in caplog.text


async def test_a_storage_that_is_away_for_longer_than_halves_wait_parts_none(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sightings_module, "WAIT_SECONDS", 0.5)
    monkeypatch.setattr(archiver_module, "TURN_SECONDS", 0.1)
    gateway, decoy = Process(), Process("decoy-1")
    sent = large(gateway, "a")
    async with scene.archiving():
        await scene.publish(gateway.input(["first"]), gateway.answers(["first"]))
        await until(lambda: scene.gauge("archived") == 1)
        aside = take_away(scene.archive)
        await scene.publish(sent, gateway.answers(["a"]))
        await until(lambda: scene.gauge("archive_failing") == 1)
        await scene.publish(decoy.seen(sent))
        await asyncio.sleep(0.6)
        bring_back(scene.archive, aside)
        await until(lambda: scene.gauge("archived") == 2)
    assert saw(scene) == {"a": 3 * MANY_ROWS}
    assert scene.counter("unproven") == 0


async def test_what_is_read_again_after_it_was_trimmed_by_half_is_not_unproven(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiver_module, "TRIM_SECONDS", 0.0)
    gateway, decoy = Process(), Process("decoy-1")
    first, second = large(gateway, "a"), large(gateway, "b")
    async with scene.archiving():  # the second frame waits, and holds what the decoy saw of the first
        await scene.publish(first, second, decoy.seen(first), gateway.answers(["a"]))
        await until(lambda: scene.gauge("archived") == 1 and scene.broker.read(0, 1)[0].position == 2)
    monkeypatch.setattr(sightings_module, "WAIT_SECONDS", 0.0)
    async with scene.archiving():
        await until(lambda: not scene.broker.read(0, 1))
    assert scene.counter("unproven") == 0
    assert saw(scene) == {"a": 3 * MANY_ROWS}


async def test_junk_is_counted_and_skipped(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    process = Process()
    async with scene.archiving():
        scene.stream.publish("input", b"hello")
        await scene.publish(process.input(ids(2), rows=[1, 1, 1]))
        await scene.publish(process.input(["good"]), process.answers(["good"]))
        await until(lambda: scene.gauge("archived") == 1)
    assert scene.counter("junk") == 2
    assert looking.ids(scene.archive, "requests") == ["good"]
    assert "message 1 is skipped: not a frame" in caplog.text


async def test_a_stream_of_nothing_but_junk_is_trimmed_too(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiver_module, "TRIM_SECONDS", 0.05)
    async with scene.archiving():
        for _ in range(5):
            scene.stream.publish("input", b"hello")
        await until(lambda: scene.counter("junk") == 5 and not scene.broker.read(0, 1))


async def test_the_archiver_gives_a_sign_of_life(scene: Scene) -> None:
    async with scene.archiving():
        await until(lambda: scene.gauge("beat") > 0)
        first = scene.gauge("beat")
        assert abs(first - time.time() * 1e6) < 60e6
        await until(lambda: scene.gauge("beat") > first)


# --- a storage that fails -------------------------------------------------------------------


def take_away(archive: str) -> Path:
    """Puts a file where the folder was, as a mount that has gone wrong; returns where the folder is."""
    folder, aside = Path(archive), Path(f"{archive}.aside")
    folder.rename(aside)
    folder.write_text("in the way")
    return aside


def bring_back(archive: str, aside: Path) -> None:
    os.unlink(archive)
    aside.rename(archive)


async def test_a_storage_that_fails_stops_archiving_loudly_and_loses_nothing(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    frames = traffic(12)
    async with scene.archiving() as task:
        await scene.publish(*frames[:20])
        await until(lambda: scene.gauge("archived") == 12)
        aside = take_away(scene.archive)
        await scene.publish(*frames[20:40])
        await until(lambda: scene.gauge("archive_failing") == 1)
        beat = scene.gauge("beat")
        await until(lambda: scene.gauge("beat") > beat)
        assert not task.done()
        await scene.publish(*frames[40:])
        bring_back(scene.archive, aside)
        await until(lambda: scene.gauge("archived") == 36)
        assert scene.gauge("archive_failing") == 0
    assert set(Counter(looking.ids(scene.archive, "answers")).values()) == {1}
    assert set(Counter(looking.ids(scene.archive, "scores")).values()) == {2}
    loud = [record for record in caplog.records if "ARCHIVING HAS STOPPED" in record.message]
    assert len(loud) == 1
    assert loud[0].levelno == logging.ERROR


async def test_a_storage_that_is_not_there_at_the_start_is_waited_for(scene: Scene) -> None:
    Path(scene.archive).write_text("in the way")
    async with scene.archiving():
        await scene.publish(*traffic(3))
        await until(lambda: scene.gauge("archive_failing") == 1)
        os.unlink(scene.archive)
        await until(lambda: scene.gauge("archived") == 9)


async def test_stopping_while_the_storage_fails_leaves_the_messages_in_the_stream(scene: Scene) -> None:
    frames = traffic(6)
    async with scene.archiving():
        await scene.publish(*frames[:10])
        await until(lambda: scene.gauge("archived") == 6)
        aside = take_away(scene.archive)
        await scene.publish(*frames[10:])
        await until(lambda: scene.gauge("archive_failing") == 1)
    bring_back(scene.archive, aside)
    async with scene.archiving():
        await until(lambda: scene.gauge("archived") == 18)
    assert set(Counter(looking.ids(scene.archive, "answers")).values()) == {1}


async def test_a_storage_that_comes_back_while_stopping_gets_every_score(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, left = Tables.append, [OSError("no space left on device")] * 2

    def failing_twice(tables: Tables, entries: Sequence[Entry[Any]], day: date) -> Appended:
        if left:
            raise left.pop()
        return append(tables, entries, day)

    monkeypatch.setattr(Tables, "append", failing_twice)
    monkeypatch.setattr(archiver_module, "FIRST_BACKOFF", PATIENCE)
    async with scene.archiving():
        await scene.publish(*traffic(3))
        await until(lambda: scene.gauge("archive_failing") == 1)
    assert scene.gauge("archived") == 9
    assert set(Counter(looking.ids(scene.archive, "scores")).values()) == {2}


async def test_tables_that_do_not_fit_the_schema_end_it_at_the_start(scene: Scene) -> None:
    async with scene.archiving():
        await scene.publish(*traffic(1))
    with pytest.raises(ProjectError, match="'in_bmi' is float there and int"):
        async with scene.archiving(inputs=Schema((Field(name="bmi", type=Kind.INT),))) as task:
            await asyncio.wait([task], timeout=PATIENCE)


# --- memory ---------------------------------------------------------------------------------


def test_large_messages_are_asked_for_in_smaller_numbers() -> None:
    assert limit_for([(1, bytes(100))] * 16) == archiver_module.HIGHEST_LIMIT
    assert limit_for([(1, bytes(4 * 1024 * 1024))]) == 4
    assert limit_for([(1, bytes(64 * 1024 * 1024))]) == 1
    assert limit_for([]) == 0
