"""Five tables commit one after the other; a failure between two of them loses and repeats nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from podium.archive import tables as tables_module
from podium.archive.entries import Door, Entry
from podium.archive.table import Appended, Table
from podium.archive.tables import Tables
from podium.protocol.frames import encode

from . import looking
from .traffic import ENDPOINT, INPUTS, OUTPUTS, Process, ids, traffic

DAY = date(2026, 11, 23)
ORDER = ["scores", "decoy", "requests", "outcomes", "answers"]


@pytest.fixture
def archive(tmp_path: Path) -> str:
    return str(tmp_path)


def opened(archive: str) -> Tables:
    tables = Tables(archive, ENDPOINT, INPUTS, OUTPUTS)
    tables.create()
    return tables


def failing_once(name: str, *, after_commit: bool) -> Callable[..., Appended]:
    """`Table.append` that fails at one table, before or after its commit, the first time."""
    append, left = Table.append, [name]

    def failing(table: Table, entries: Sequence[Entry[Any]], day: date) -> Appended:
        if table.layout.name not in left:
            return append(table, entries, day)
        left.remove(name)
        if after_commit:
            append(table, entries, day)
        raise OSError("no space left on device")

    return failing


@pytest.mark.parametrize("after_commit", [False, True])
@pytest.mark.parametrize("name", ORDER)
def test_repeating_after_a_failure_archives_everything_once(
    archive: str, monkeypatch: pytest.MonkeyPatch, name: str, after_commit: bool
) -> None:
    door = Door(ENDPOINT, INPUTS, OUTPUTS)
    frames = [*traffic(4), Process("gateway-2").outcomes(ids(3, "0."))]
    entries = [door.admit(position, encode(frame)) for position, frame in enumerate(frames, 1)]
    tables = opened(archive)
    monkeypatch.setattr(Table, "append", failing_once(name, after_commit=after_commit))
    with pytest.raises(OSError, match="no space"):
        tables.append(entries, DAY)
    tables.append(entries, DAY)
    assert (tables.answered, tables.outcomes) == (12, 3)
    assert looking.ids(archive, "outcomes") == ids(3, "0.")
    for table, each in {"requests": 1, "decoy": 1, "answers": 1, "scores": 2}.items():
        assert set(Counter(looking.ids(archive, table)).values()) == {each}
        assert len(looking.ids(archive, table)) == 12 * each


def test_answers_are_committed_last(archive: str, monkeypatch: pytest.MonkeyPatch) -> None:
    committed = []
    append = Table.append

    def noted(table: Table, entries: Sequence[Entry[Any]], day: date) -> Appended:
        committed.append(table.layout.name)
        return append(table, entries, day)

    monkeypatch.setattr(Table, "append", noted)
    opened(archive).append([], DAY)
    assert committed == ORDER


def test_small_files_are_merged_one_table_at_a_time_and_later_when_busy(
    archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables_module, "COMPACT_FILES", 6)
    door = Door(ENDPOINT, INPUTS, OUTPUTS)
    tables = opened(archive)
    frames = traffic(6, requests=1)
    for start in range(0, len(frames), 5):
        batch = frames[start : start + 5]
        tables.append([door.admit(start + n, encode(frame)) for n, frame in enumerate(batch, 1)], DAY)
    tables.tidy(busy=True)
    assert count_files(archive) == [6] * 4
    tables.tidy(busy=False)
    assert sorted(count_files(archive)) == [1, 6, 6, 6]
    for _ in range(3):
        tables.tidy(busy=False)
    assert count_files(archive) == [1] * 4
    assert len(looking.ids(archive, "answers")) == 6


def count_files(archive: str) -> list[int]:
    return [len(looking.files(archive, name)) for name in ORDER if name != "outcomes"]
