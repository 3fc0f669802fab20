"""What is written of a contender's failures, and what is read."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from podium import failures
from podium.counters import Board
from podium.failures import Failures


def test_the_last_one_is_shown_with_its_time(tmp_path: Path) -> None:
    with Board(tmp_path / "worker-a-1-7.board") as board:
        noted = Failures("a@1", board)
        assert failures.read(tmp_path, "a@1") is None
        for error in ("first", "second"):
            noted.note(error)
    found = failures.read(tmp_path, "a@1")
    assert found is not None
    assert found.error == "second"
    assert abs(found.at - time.time()) < 60
    assert failures.read(tmp_path, "b@1") is None
    assert len(list(tmp_path.iterdir())) == 2  # the board and the file, and nothing half written


def test_the_same_words_are_written_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(failures.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(failures.time, "time", lambda: now[0])
    with Board(tmp_path / "worker-a-1-7.board") as board:
        noted = Failures("a@1", board)
        written = []
        for _ in range(5):
            noted.note("not today")
            last = failures.read(tmp_path, "a@1")
            assert last is not None
            written.append(last.at)
            now[0] += failures.PAUSE_SECONDS / 2
    assert written == [100.0, 100.0, 101.0, 101.0, 102.0]


def test_a_long_error_is_cut_and_a_folder_that_is_gone_is_no_error(tmp_path: Path) -> None:
    with Board(tmp_path / "boards" / "worker-a-1-7.board") as board:
        Failures("a@1", board).note("x" * 10_000)
        found = failures.read(tmp_path / "boards", "a@1")
        assert found is not None
        assert len(found.error) == failures.LONGEST
        (tmp_path / "boards").rename(tmp_path / "moved")
        Failures("a@1", board).note("again")
    assert failures.read(tmp_path / "boards", "a@1") is None


def test_what_is_no_failure_is_none(tmp_path: Path) -> None:
    (tmp_path / "a@1.failure").write_text("{")
    assert failures.read(tmp_path, "a@1") is None
