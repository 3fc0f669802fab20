"""Tables can be opened by name while they grow, and say so when they are not there."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from podium.archive import reading
from podium.archive.entries import Door
from podium.archive.tables import Tables
from podium.errors import NotFound
from podium.protocol.frames import encode

from .traffic import ENDPOINT, INPUTS, OUTPUTS, traffic


def test_a_tables_rows_are_counted_and_its_files_listed(tmp_path: Path) -> None:
    door = Door(ENDPOINT, INPUTS, OUTPUTS)
    tables = Tables(str(tmp_path), ENDPOINT, INPUTS, OUTPUTS)
    tables.create()
    entries = [door.admit(position, encode(frame)) for position, frame in enumerate(traffic(4), 1)]
    tables.append(entries, date(2026, 11, 23))
    scores = reading.table(str(tmp_path), ENDPOINT, "scores")
    assert reading.count(scores) == 24
    (file,) = reading.files(scores)
    assert Path(file).parent.name == "day=2026-11-23"


def test_an_archive_that_is_not_there_yet_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing is archived at"):
        reading.table(str(tmp_path), ENDPOINT, "scores")


def test_an_unknown_table_is_answered_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="requests, scores, answers, decoy"):
        reading.table(str(tmp_path), ENDPOINT, "score")
