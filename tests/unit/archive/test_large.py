"""Large inputs in the archive: digests always, values where they are to be kept, and replay of both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from podium.archive import large as module
from podium.archive import reading, sql
from podium.archive.entries import Door, Entry
from podium.archive.large import Bodies
from podium.archive.past import Batch, Past
from podium.archive.tables import Tables
from podium.counters import Board, read, total
from podium.errors import BadInput, BodyLost
from podium.period import EPOCH, Period
from podium.protocol import large
from podium.protocol.frames import InputFrame, Tensor, encode, tensor
from podium.streams.memory_objects import MemoryCellar, MemoryObjectStore

from .traffic import ENDPOINT, INPUTS, NOW, OUTPUTS, Process

START = EPOCH + timedelta(microseconds=NOW)
PERIOD = Period(since=START, until=START + timedelta(days=1))
VALUES = np.array([1.5, 2.5, 3.5])


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with Board(tmp_path / "archiver.board") as board:
        yield board


@pytest.fixture
def store() -> MemoryObjectStore:
    return MemoryObjectStore(MemoryCellar())


async def by_reference(frame: InputFrame, store: MemoryObjectStore) -> InputFrame:
    content = large.content(frame.columns["bmi"])
    reference = large.reference(content)
    await store.put(reference.object, content, sha256=reference.digest)
    emptied = {"bmi": large.emptied(frame.columns["bmi"])}
    return replace(frame, large={"bmi": reference}, columns=emptied)


async def request(process: Process, store: MemoryObjectStore, id: str = "a") -> InputFrame:
    return await by_reference(process.input([id], {"bmi": VALUES}, rows=[3]), store)


def admitted(*frames: InputFrame) -> list[Entry[Any]]:
    door = Door(ENDPOINT, INPUTS, OUTPUTS)
    return [door.admit(position, encode(frame)) for position, frame in enumerate(frames, 1)]


async def parts(bodies: Bodies, entries: Sequence[Entry[Any]]) -> list[list[Entry[Any]]]:
    return [part async for part in bodies.whole(entries, has=lambda *_: False)]


def filled(folder: Path, entries: Sequence[Entry[Any]]) -> None:
    tables = Tables(str(folder), ENDPOINT, INPUTS, OUTPUTS)
    tables.create()
    tables.append(entries, date(2026, 1, 2))


def replayed(folder: Path) -> list[Batch]:
    found = Past(reading.table(str(folder), ENDPOINT, "requests"), PERIOD, INPUTS)
    return [batch for window in found.windows() for batch in found.read(window).batches(1000)]


async def test_values_that_are_kept_are_archived_with_their_digest_and_replayed(
    tmp_path: Path, board: Board, store: MemoryObjectStore
) -> None:
    bodies = Bodies(store, board)
    frame = await request(Process(), store)
    (whole,) = await parts(bodies, admitted(frame))
    filled(tmp_path / "archive", whole)
    await bodies.forget(whole)

    (batch,) = replayed(tmp_path / "archive")
    assert (batch.error, batch.columns["bmi"].tolist()) == (None, VALUES.tolist())
    assert frame.large is not None
    assert json.loads(digests(tmp_path / "archive")[0]) == {"bmi": frame.large["bmi"].digest.hex()}
    with pytest.raises(BodyLost, match="there is no object"):
        await store.get(frame.large["bmi"].object)


def digests(folder: Path) -> list[str]:
    table = reading.table(str(folder), ENDPOINT, "requests")
    return [str(each) for each in sql.rows("SELECT digests FROM t", t=table).column("digests").to_pylist()]


async def test_without_values_a_replay_says_so_and_scores_the_others(
    tmp_path: Path, board: Board, store: MemoryObjectStore
) -> None:
    process = Process()
    frames = [await request(process, store), process.input(["small"], {"bmi": np.array([9.0])})]
    (whole,) = await parts(Bodies(None, board), admitted(*frames))
    filled(tmp_path / "archive", whole)
    lost, small = replayed(tmp_path / "archive")
    assert lost.ids == ["a"]
    assert lost.error is not None
    assert "'bmi' was large, and only its digest is archived" in lost.error
    assert (small.error, small.columns["bmi"].tolist()) == (None, [9.0])


async def test_what_is_gone_leaves_its_digest_and_is_counted(
    tmp_path: Path, board: Board, store: MemoryObjectStore
) -> None:
    frame = await request(Process(), store)
    assert frame.large is not None
    await store.delete(frame.large["bmi"].object)
    (whole,) = await parts(Bodies(store, board), admitted(frame))
    filled(tmp_path / "archive", whole)
    assert total(read(board.path), "bodies_lost") == 1
    assert replayed(tmp_path / "archive")[0].error is not None


async def test_what_a_table_has_already_is_not_fetched_again(board: Board, store: MemoryObjectStore) -> None:
    frame = await request(Process(), store)
    assert frame.large is not None
    await store.delete(frame.large["bmi"].object)
    entries = admitted(frame)
    assert [part async for part in Bodies(store, board).whole(entries, has=lambda *_: True)] == [entries]
    assert total(read(board.path), "bodies_lost") == 0


async def test_a_store_that_comes_back_gives_the_values(
    board: Board, store: MemoryObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRY_SECONDS", 0.01)
    cellar = MemoryCellar()
    away = MemoryObjectStore(cellar)
    frame = await request(Process(), away)
    cellar.crash()
    asyncio.get_running_loop().call_later(0.03, cellar.start)
    ((entry,),) = await parts(Bodies(away, board), admitted(frame))
    assert entry.frame.columns["bmi"] == tensor(VALUES)


async def test_many_large_inputs_are_several_parts_in_order(
    board: Board, store: MemoryObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART_BYTES", 2 * VALUES.nbytes)
    process = Process()
    frames = [await request(process, store, id) for id in "abcde"]
    found = await parts(Bodies(store, board), admitted(*frames))
    assert [[entry.ids[0] for entry in part] for part in found] == [["a", "b"], ["c", "d"], ["e"]]


@pytest.mark.parametrize(
    "packed", [Tensor("str", (3,), []), Tensor("f8", (2,), b""), Tensor("f8", (3, 2), b"")]
)
async def test_a_large_column_of_another_type_or_shape_is_no_request(
    store: MemoryObjectStore, packed: Tensor
) -> None:
    frame = replace(await request(Process(), store), columns={"bmi": packed})
    with pytest.raises(BadInput, match="'bmi'"):
        admitted(frame)
