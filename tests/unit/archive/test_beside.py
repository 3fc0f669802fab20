"""Rows come and go beside the archiver: neither loses anything, neither undoes the other."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from arro3.core import RecordBatch
from deltalake import DeltaTable

from podium.archive import beside, reading
from podium.archive.beside import Series, delete, shred
from podium.archive.entries import Door
from podium.archive.layouts import ReplayedScores
from podium.errors import ArchiveError
from podium.protocol.frames import encode

from . import looking
from .filled import DAY, fill
from .traffic import ENDPOINT, INPUTS, OUTPUTS, Process

DOOR = Door(ENDPOINT, INPUTS, OUTPUTS)


def opened(folder: Path, name: str = "scores") -> DeltaTable:
    return reading.table(str(folder), ENDPOINT, name)


def scores(*ids: str) -> RecordBatch:
    entry = DOOR.admit(1, encode(Process("elsewhere").scores(ids, model="forest")))
    return ReplayedScores(OUTPUTS).batch([entry], DAY)


class Archiving:
    """An archiver's tables, into which one request's score after the other goes."""

    def __init__(self, folder: Path) -> None:
        self.tables = fill(folder, [])
        self._process = Process("worker-1")
        self._position = 0

    def score(self, *ids: str) -> None:
        self._position += 1
        frame = self._process.scores(ids)
        self.tables.append([DOOR.admit(self._position, encode(frame))], DAY)

    def compact(self) -> None:
        next(table for table in self.tables._tables if table.layout.name == "scores").compact()


def test_replayed_rows_are_marked_and_the_archiver_goes_on(tmp_path: Path) -> None:
    archiving = Archiving(tmp_path)
    archiving.score("a")
    Series(opened(tmp_path), "podium/replay/forest@1").append(scores("a"))
    archiving.score("b")
    found = [(row["id"], row["model"], row["replayed"]) for row in looking.rows(str(tmp_path), "scores")]
    assert sorted(found) == [("a", "forest", True), ("a", "linear", False), ("b", "linear", False)]


def test_the_archivers_state_is_its_own(tmp_path: Path) -> None:
    archiving = Archiving(tmp_path)
    archiving.score("a")
    before = [(table.position, table.requests) for table in archiving.tables._tables]
    Series(opened(tmp_path), "podium/replay/forest@1").append(scores("a"))
    delete(opened(tmp_path), "id = 'a'")
    again = fill(tmp_path, [])
    assert [(table.position, table.requests) for table in again._tables] == before


def test_of_two_series_of_one_name_the_second_stops_and_of_two_names_both_go_on(tmp_path: Path) -> None:
    fill(tmp_path, [])
    one, two, other = (Series(opened(tmp_path), name) for name in ("forest@1", "forest@1", "forest@2"))
    one.append(scores("a"))
    with pytest.raises(ArchiveError, match="forest@1 was written by another process meanwhile"):
        two.append(scores("a"))
    other.append(scores("a"))
    one.append(scores("b"))
    assert sorted(looking.ids(str(tmp_path), "scores")) == ["a", "a", "b"]


def test_an_archiver_that_did_not_see_rows_go_adds_its_own_once(tmp_path: Path) -> None:
    archiving = Archiving(tmp_path)
    for name in "abc":
        archiving.score(name)
    assert delete(opened(tmp_path), "id IN ('a', 'c')") == 2
    archiving.score("d")
    assert looking.ids(str(tmp_path), "scores") == ["b", "d"]


def test_an_archiver_that_rested_while_the_log_was_cleaned_adds_its_own_once(tmp_path: Path) -> None:
    archiving = Archiving(tmp_path)
    for name in "abc":
        archiving.score(name)
    delete(opened(tmp_path), "id = 'a'")
    delete(opened(tmp_path), "id = 'b'")
    opened(tmp_path).create_checkpoint()
    log = tmp_path / ENDPOINT / "scores" / "_delta_log"
    for commit in log.glob("*.json"):
        os.utime(commit, (0, 0))
    opened(tmp_path).cleanup_metadata()
    assert len(list(log.glob("*.json"))) < 2
    archiving.score("d")
    assert looking.ids(str(tmp_path), "scores") == ["c", "d"]


def test_rows_that_went_do_not_come_back_when_files_are_merged(tmp_path: Path) -> None:
    archiving = Archiving(tmp_path)
    for name in "abc":
        archiving.score(name)
    delete(opened(tmp_path), "id = 'b'")
    archiving.compact()
    assert looking.ids(str(tmp_path), "scores") == ["a", "c"]


def test_rows_go_also_where_files_were_merged_after_the_table_was_opened(tmp_path: Path) -> None:
    archiving = Archiving(tmp_path)
    for name in "abc":
        archiving.score(name)
    stale = opened(tmp_path)
    archiving.compact()
    assert delete(stale, "id = 'b'") == 1
    assert looking.ids(str(tmp_path), "scores") == ["a", "c"]


def test_a_table_that_others_never_leave_alone_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside, "PAUSE_SECONDS", 0.0)
    archiving = Archiving(tmp_path)
    archiving.score("a")
    table = opened(tmp_path)

    def meanwhile() -> None:
        archiving.score("b")
        archiving.compact()
        table.delete("id = 'a'")  # of what the table was before

    with pytest.raises(ArchiveError, match="is changed by others all the time"):
        beside.committed(table, meanwhile)


def test_a_table_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    fill(tmp_path, [])

    def full() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(ArchiveError, match=r"scores/? cannot be written: .*No space left"):
        beside.committed(opened(tmp_path), full)


def test_nothing_of_what_went_is_left_on_the_disk(tmp_path: Path) -> None:
    archiving = Archiving(tmp_path)
    for name in ("alice", "bob"):
        archiving.score(name)
    archiving.compact()  # leaves the files that it merged, for readers
    delete(opened(tmp_path), "id = 'alice'")
    assert b"alice" in contents(tmp_path)
    shred(opened(tmp_path))
    assert b"alice" not in contents(tmp_path)
    assert b"bob" in contents(tmp_path)
    archiving.score("carol")
    assert looking.ids(str(tmp_path), "scores") == ["bob", "carol"]


def contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in (folder / ENDPOINT / "scores").rglob("*.parquet"))


def test_files_of_a_commit_that_is_being_made_are_left_alone(tmp_path: Path) -> None:
    fill(tmp_path, [])
    unfinished = tmp_path / ENDPOINT / "scores" / "day=2023-11-14" / "part-unfinished.parquet"
    unfinished.parent.mkdir()
    unfinished.touch()
    shred(opened(tmp_path))
    assert unfinished.exists()


def test_an_archiver_a_replay_and_somebody_who_forgets_work_at_once(tmp_path: Path) -> None:
    rounds = 20
    archiving = Archiving(tmp_path)
    archiving.score("first")
    series = Series(opened(tmp_path), "forest@1")
    problems: list[BaseException] = []

    def archive() -> None:
        for number in range(rounds):
            archiving.score(f"live-{number}", f"forgotten-{number}")
            if number % 7 == 6:
                archiving.tables.tidy(busy=False)

    def replay() -> None:
        for number in range(rounds):
            series.append(scores(f"past-{number}"))

    def forget() -> None:
        for number in range(rounds):
            table = opened(tmp_path)
            while not delete(table, f"id = 'forgotten-{number}'"):
                pass
            shred(table)

    def watched(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=watched, args=(work,)) for work in (archive, replay, forget)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert problems == []
    expected = {"first", *(f"{kind}-{n}" for kind in ("live", "past") for n in range(rounds))}
    assert sorted(looking.ids(str(tmp_path), "scores")) == sorted(expected)
