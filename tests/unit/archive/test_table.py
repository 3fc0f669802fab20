"""A table has each message once, whatever happens between its commits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deltalake import DeltaTable

from podium.archive import table as table_module
from podium.archive.entries import Door, Entry
from podium.archive.layouts import Requests
from podium.archive.names import table_uri
from podium.archive.table import Table
from podium.errors import ProjectError
from podium.protocol.frames import Frame, encode
from podium.schema import Field, Kind, Schema

from . import looking
from .traffic import ENDPOINT, INPUTS, OUTPUTS, Process, ids

DAY = date(2026, 11, 23)
AGE = Field(name="age", type=Kind.INT, optional=True, default=50)


@pytest.fixture
def archive(tmp_path: Path) -> str:
    return str(tmp_path / "archive")


def opened(archive: str, inputs: Schema = INPUTS) -> Table:
    table = Table(table_uri(archive, ENDPOINT, "requests"), Requests(inputs))
    table.create()
    return table


def entries(frames: Sequence[Frame], *, first: int = 1, inputs: Schema = INPUTS) -> list[Entry[Any]]:
    door = Door(ENDPOINT, inputs, OUTPUTS)
    return [door.admit(position, encode(frame)) for position, frame in enumerate(frames, first)]


def test_a_new_table_has_nothing_and_starts_at_the_beginning(archive: str) -> None:
    table = opened(archive)
    assert (table.position, table.requests) == (0, 0)
    assert looking.rows(archive, "requests") == []


def test_what_was_appended_is_not_appended_again_by_who_opens_the_table_next(archive: str) -> None:
    process = Process()
    batch = entries([process.input(ids(2, f"{n}.")) for n in range(3)])
    assert opened(archive).append(batch, DAY).rows == 6
    table = opened(archive)
    assert (table.position, table.requests) == (3, 6)
    assert table.append(batch, DAY).rows == 0
    assert table.append(batch + entries([process.input(["new"])], first=4), DAY).rows == 1
    assert len(looking.ids(archive, "requests")) == 7


def test_a_message_that_a_source_has_published_again_is_dropped(archive: str) -> None:
    process = Process()
    frames = [process.input([f"r{n}"]) for n in range(5)]
    table = opened(archive)
    table.append(entries(frames), DAY)
    again = entries([*frames[3:], process.input(["r5"])], first=6)
    assert table.append(again, DAY).duplicates == 2
    assert looking.ids(archive, "requests") == ids(6)


@pytest.mark.parametrize("together", [True, False])
def test_a_message_that_comes_late_and_for_the_first_time_is_kept(archive: str, together: bool) -> None:
    process = Process()
    one, two, three, four = (process.input([f"r{n}"]) for n in range(4))
    order = entries([one, four, two, one, three, two])
    table = opened(archive)
    added = [table.append(part, DAY) for part in ([order] if together else [[each] for each in order])]
    assert (sum(each.rows for each in added), sum(each.duplicates for each in added)) == (4, 2)
    assert sorted(looking.ids(archive, "requests")) == ids(4)


def test_who_opens_the_table_next_and_reads_from_before_knows_what_is_late(archive: str) -> None:
    process = Process()
    one, two, three = (process.input([f"r{n}"]) for n in range(3))
    before = entries([one, three])
    opened(archive).append(before, DAY)
    table = opened(archive)
    added = table.append(before + entries([two, three], first=3), DAY)
    assert (added.rows, added.duplicates) == (1, 1)
    assert sorted(looking.ids(archive, "requests")) == ids(3)


def test_a_repetition_within_one_batch_is_dropped(archive: str) -> None:
    process = Process()
    one, two = process.input(["r0"]), process.input(["r1"])
    assert opened(archive).append(entries([one, two, one, two]), DAY).duplicates == 2
    assert looking.ids(archive, "requests") == ids(2)


def test_sources_number_their_messages_apart(archive: str) -> None:
    frames = [Process("gateway-1").input(["a"]), Process("gateway-2").input(["b"])]
    assert opened(archive).append(entries(frames), DAY).rows == 2


def test_repetitions_are_known_after_checkpoint_compaction_and_log_cleanup(archive: str) -> None:
    process = Process()
    frames = [process.input([f"r{n}"]) for n in range(4)]
    table = opened(archive)
    for position, frame in enumerate(frames, 1):
        table.append(entries([frame], first=position), DAY)
    delta = DeltaTable(table.uri)
    delta.alter.set_table_properties({"delta.logRetentionDuration": "interval 0 seconds"})
    table.open()
    table.compact()
    delta = DeltaTable(table.uri)
    delta.create_checkpoint()
    delta.cleanup_metadata()
    assert not (Path(table.uri) / "_delta_log" / "00000000000000000003.json").exists()
    table = opened(archive)
    assert (table.position, table.requests) == (4, 4)
    assert table.append(entries(frames, first=5), DAY).duplicates == 4


def test_marks_of_more_sources_than_memory_holds_are_looked_up(
    archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_module, "SOURCES_REMEMBERED", 2)
    frames = [Process(f"worker-{n}").input([f"r{n}"]) for n in range(5)]
    table = opened(archive)
    table.append(entries(frames), DAY)
    assert table.append(entries(frames, first=6), DAY).duplicates == 5
    assert looking.ids(archive, "requests") == ids(5)


def test_compaction_merges_small_files_and_changes_no_row(archive: str) -> None:
    process = Process()
    table = opened(archive)
    for position in range(1, 9):
        table.append(entries([process.input([f"r{position}"])], first=position), DAY)
    before = looking.rows(archive, "requests")
    table.compact()
    assert len(DeltaTable(table.uri).file_uris()) == 1
    assert looking.rows(archive, "requests") == before
    table.append(entries([process.input(["r9"])], first=9), DAY)
    assert len(looking.ids(archive, "requests")) == 9


def test_vacuum_keeps_the_files_that_a_reader_may_still_be_using(archive: str) -> None:
    process = Process()
    table = opened(archive)
    for position in (1, 2):
        table.append(entries([process.input([f"r{position}"])], first=position), DAY)
    reading = DeltaTable(table.uri).file_uris()
    table.compact()
    table.vacuum()
    assert all(Path(file).exists() for file in reading)


def test_rows_are_partitioned_by_the_day_of_processing(archive: str) -> None:
    process = Process()
    table = opened(archive)
    table.append(entries([process.input(["r0"])]), date(2026, 11, 23))
    table.append(entries([process.input(["r1"])], first=2), date(2026, 11, 24))
    assert sorted(folder.name for folder in Path(table.uri).glob("day=*")) == [
        "day=2026-11-23",
        "day=2026-11-24",
    ]
    assert [row["day"] for row in looking.rows(archive, "requests")] == ["2026-11-23", "2026-11-24"]


# --- schemas that change --------------------------------------------------------------------


def test_a_new_optional_input_is_null_in_the_old_rows(archive: str) -> None:
    process = Process()
    opened(archive).append(entries([process.input(["old"])]), DAY)
    grown = Schema((*INPUTS.fields, AGE))
    table = opened(archive, grown)
    columns = {"bmi": np.array([0.5]), "age": np.array([61])}
    table.append(entries([process.input(["young"], columns)], first=2, inputs=grown), DAY)
    found = {row["id"]: row["in_age"] for row in looking.rows(archive, "requests")}
    assert found == {"old": None, "young": 61}


def test_an_input_that_is_gone_is_null_in_the_new_rows(archive: str) -> None:
    process = Process()
    grown = Schema((*INPUTS.fields, AGE))
    columns = {"bmi": np.array([0.5]), "age": np.array([61])}
    opened(archive, grown).append(entries([process.input(["old"], columns)], inputs=grown), DAY)
    opened(archive).append(entries([process.input(["new"])], first=2), DAY)
    found = {row["id"]: row["in_age"] for row in looking.rows(archive, "requests")}
    assert found == {"old": 61, "new": None}


def test_growing_the_schema_keeps_what_the_table_has(archive: str) -> None:
    frames = [Process().input(["old"])]
    opened(archive).append(entries(frames), DAY)
    table = opened(archive, Schema((*INPUTS.fields, AGE)))
    assert (table.position, table.append(entries(frames), DAY).rows) == (1, 0)


def test_a_column_of_another_type_is_refused_with_both_types_named(archive: str) -> None:
    opened(archive)
    with pytest.raises(ProjectError, match="'in_bmi' is float there and string") as raised:
        opened(archive, Schema((Field(name="bmi", type=Kind.STRING),)))
    assert "\n" not in str(raised.value)


def test_a_tensor_in_place_of_a_number_is_refused(archive: str) -> None:
    opened(archive)
    with pytest.raises(ProjectError, match=r"'in_bmi' is float there and float\[\]\[\]"):
        opened(archive, Schema((Field(name="bmi", type=Kind.FLOAT, shape=(2, -1)),)))
