"""Counts that move between files, and are neither lost nor doubled by a crash in the middle."""

from __future__ import annotations

from pathlib import Path

import pytest

from podium.counters import Board, distribution, merged, total
from podium.node.boards import BASE, RETIRED, RETIRING, BoardSign, fold, mend, retire
from podium.node.process import Life


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "counters").mkdir()
    return tmp_path / "counters"


def counted(folder: Path, name: str, received: int) -> Board:
    with Board(folder / f"{name}.board") as board:
        board.counter("received").add(received)
        board.gauge("ready").set(1)
        board.gauge("beat").set(5)
        board.gauge("archived").set(received)
        board.gauge("outcomes_archived").set(received)
        board.histogram("answer_ms").add(1.0, received)
    return board


async def test_a_process_without_a_beat_shows_nothing_yet(folder: Path) -> None:
    sign = BoardSign(folder)
    assert await sign.look(12) is None
    with Board(folder / "worker-linear-1-12.board") as board:
        board.gauge("ready").set(1)
        assert await sign.look(12) is None
        board.gauge("beat").set(7)
    assert await sign.look(12) == Life(7, True)
    assert await sign.look(2) is None, "12 ends with 2, but is another process"


async def test_a_process_that_is_not_asked_for_ready_is_ready_with_its_beat(folder: Path) -> None:
    with Board(folder / "archiver-12.board") as board:
        board.gauge("beat").set(7)
    assert await BoardSign(folder).look(12) == Life(7, False)
    assert await BoardSign(folder, wait_for_ready=False).look(12) == Life(7, True)


def test_the_counts_of_ended_processes_add_up(folder: Path) -> None:
    for pid in (11, 12):
        counted(folder, f"gateway-1-{pid}", 10)
        retire(folder, pid)
    counts = merged(folder)
    assert [path.name for path in folder.iterdir()] == [RETIRED]
    assert total(counts, "received") == 20
    assert distribution(counts, "answer_ms").count == 20
    assert total(counts, "archived") == 10, "a gauge is not added up"
    assert total(counts, "outcomes_archived") == 10
    assert total(counts, "ready") == 0, "a process that has ended is not ready"


def test_a_crash_before_the_board_is_gone_is_undone(folder: Path) -> None:
    counted(folder, "gateway-1-11", 10)
    (folder / f"gateway-1-11{RETIRING}").write_bytes((folder / "gateway-1-11.board").read_bytes())
    mend(folder)
    assert total(merged(folder), "received") == 10


def test_a_crash_after_the_board_is_gone_is_finished(folder: Path) -> None:
    counted(folder, "gateway-1-11", 10)
    (folder / "gateway-1-11.board").rename(folder / f"gateway-1-11{RETIRING}")
    mend(folder)
    assert [path.name for path in folder.iterdir()] == [RETIRED]
    assert total(merged(folder), "received") == 10


def test_each_run_starts_with_all_counters_and_no_histograms(folder: Path) -> None:
    counted(folder, "gateway-1-11", 10)
    fold(folder)
    fold(folder)
    counts = merged(folder)
    assert [path.name for path in folder.iterdir()] == [BASE]
    assert total(counts, "received") == 10
    assert distribution(counts, "answer_ms").count == 0
    assert total(counts, "beat") == 0


def test_a_swap_that_was_interrupted_loses_nothing(folder: Path) -> None:
    counted(folder, "gateway-1-11", 10)
    folder.rename(folder.with_suffix(".new"))
    fold(folder)
    assert total(merged(folder), "received") == 10


def test_a_board_that_a_power_cut_has_spoiled_does_not_stop_the_start(folder: Path) -> None:
    counted(folder, "gateway-1-11", 10)
    (folder / "worker-linear-1-12.board").write_bytes(b"\xff nonsense\n" + bytes(70_000))
    (folder / "worker-linear-1-13.board").write_bytes(b"")
    fold(folder)
    assert total(merged(folder), "received") == 10
