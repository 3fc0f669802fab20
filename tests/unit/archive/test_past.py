"""Archived requests come back in the order in which they came, each once, whatever was merged meanwhile."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.archive import past as module
from podium.archive import reading
from podium.archive.beside import delete, shred
from podium.archive.past import SECOND, Batch, Past, windows, with_defaults
from podium.errors import ArchiveError, SchemaMismatch
from podium.period import EPOCH, Period
from podium.protocol.frames import InputFrame
from podium.schema import Field, Kind, Schema

from .filled import fill
from .traffic import ENDPOINT, INPUTS, NOW, Process, ids

START = EPOCH + timedelta(microseconds=NOW)
DAY = Period(since=START, until=START + timedelta(days=1))
BMI = INPUTS.fields[0]
BP = Field(name="bp", type=Kind.FLOAT, optional=True, default=0.5)


def past(folder: Path, inputs: Schema = INPUTS, period: Period = DAY) -> Past:
    return Past(reading.table(str(folder), ENDPOINT, "requests"), period, inputs)


def batches(found: Past, most_rows: int = 1000) -> list[Batch]:
    return [batch for window in found.windows() for batch in found.read(window).batches(most_rows)]


def read(found: Past) -> list[str]:
    return [id for batch in batches(found) for id in batch.ids]


def arriving(
    process: Process, count: int, *, every: int, prefix: str = "r", start: int = 0
) -> list[InputFrame]:
    """One frame for each request, `every` µs."""
    return [
        process.input(
            [f"{prefix}{n:04}"], arrived=[NOW + start + n * every], columns={"bmi": np.array([float(n)])}
        )
        for n in range(count)
    ]


def test_requests_come_in_the_order_of_their_arrival_over_many_commits_and_files(tmp_path: Path) -> None:
    gateways = [Process("g1"), Process("g2")]
    early, late = (
        arriving(g, 30, every=700_000, prefix=g.source, start=n * 100_000) for n, g in enumerate(gateways)
    )
    fill(tmp_path, [*late, *early], parts=7)
    assert read(past(tmp_path)) == [f"g{1 + n % 2}{n // 2:04}" for n in range(60)]


def test_a_period_has_its_first_moment_and_not_its_last(tmp_path: Path) -> None:
    fill(tmp_path, arriving(Process(), 10, every=SECOND))
    period = Period(since=START + timedelta(seconds=3), until=START + timedelta(seconds=6))
    assert read(past(tmp_path, period=period)) == ["r0003", "r0004", "r0005"]
    within = Period(since=START + timedelta(seconds=3.5), until=START + timedelta(seconds=5, microseconds=1))
    assert read(past(tmp_path, period=within)) == ["r0004", "r0005"]


def test_windows_that_are_small_hold_every_request_once_also_when_files_are_merged_between_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WINDOW_BYTES", 800)  # seven rows
    tables = fill(tmp_path, arriving(Process(), 50, every=SECOND // 3), parts=20)
    found = past(tmp_path)
    first, *others = found.windows()
    assert len(others) > 5
    seen = found.read(first).ids
    for table in tables._tables:
        table.compact()
        table._delta.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert seen + [id for window in others for id in found.read(window).ids] == [
        f"r{n:04}" for n in range(50)
    ]


def test_a_request_of_many_rows_stays_whole(tmp_path: Path) -> None:
    frame = Process().input(["a", "b", "c"], rows=[2, 5, 1])
    fill(tmp_path, [frame])
    found = batches(past(tmp_path), most_rows=3)
    assert [(batch.ids, batch.rows.tolist(), batch.columns["bmi"].tolist()) for batch in found] == [
        (["a"], [2], [0.0, 1.0]),
        (["b"], [5], [2.0, 3.0, 4.0, 5.0, 6.0]),
        (["c"], [1], [7.0]),
    ]


def test_only_so_many_of_a_batch_are_its_first_with_all_their_rows(tmp_path: Path) -> None:
    fill(tmp_path, [Process().input(["a", "b", "c"], rows=[2, 3, 1])])
    (batch,) = batches(past(tmp_path))
    assert batch.first(2).ids == ["a", "b"]
    assert batch.first(2).columns["bmi"].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_requests_that_are_left_out_leave_the_others_in_order(tmp_path: Path) -> None:
    fill(tmp_path, arriving(Process(), 6, every=10))
    found = past(tmp_path)
    (window,) = found.windows()
    kept = [id for batch in found.read(window).batches(100, without={"r0000", "r0003"}) for id in batch.ids]
    assert kept == ["r0001", "r0002", "r0004", "r0005"]


def test_an_input_that_came_later_is_its_default_in_older_requests(tmp_path: Path) -> None:
    process = Process()
    fill(tmp_path, [process.input(["old"])])
    grown = Schema((BMI, BP))
    columns = {"bmi": np.array([1.0]), "bp": np.array([7.0])}
    fill(tmp_path, [process.input(["new"], columns, arrived=[NOW + 5])], grown)
    (batch,) = batches(past(tmp_path, grown))
    assert (batch.ids, batch.columns["bp"].tolist()) == (["old", "new"], [0.5, 7.0])


def test_an_input_that_no_request_has_is_its_default(tmp_path: Path) -> None:
    fill(tmp_path, [Process().input(ids(2))])
    tags = Field(name="tags", type=Kind.STRING, shape=(2,), optional=True, default=["a", "b"])
    (batch,) = batches(past(tmp_path, Schema((BMI, tags))))
    assert batch.columns["tags"].tolist() == [["a", "b"], ["a", "b"]]


def test_a_request_from_before_an_input_that_the_model_needs_says_so(tmp_path: Path) -> None:
    process = Process()
    fill(tmp_path, [process.input(["old"])])
    image = Field(name="image", type=Kind.INT, shape=(2,), optional=True, default=[0, 0])
    columns = {"bmi": np.array([1.0]), "image": np.array([[1, 2]])}
    fill(tmp_path, [process.input(["new"], columns, arrived=[NOW + 5])], Schema((BMI, image)))
    needed = Schema((BMI, Field(name="image", type=Kind.INT, shape=(2,))))
    old, new = batches(past(tmp_path, needed))
    assert (old.ids, old.error) == (["old"], "the request came before the input 'image'")
    assert (new.ids, new.error, new.columns["image"].tolist()) == (["new"], None, [[1, 2]])


def test_requests_of_different_shapes_are_in_different_batches_and_a_wrong_one_is_an_error(
    tmp_path: Path,
) -> None:
    steps = Field(name="steps", type=Kind.FLOAT, shape=(-1,))
    process = Process()
    frames = [
        process.input([f"{n}"], {"steps": np.arange(n, dtype=float).reshape(1, n)}, arrived=[NOW + n])
        for n in (2, 2, 0, 3)
    ]
    fill(tmp_path, frames, Schema((steps,)))
    found = batches(past(tmp_path, Schema((steps,))))
    assert sorted((batch.ids, batch.columns["steps"].shape) for batch in found) == [
        (["0"], (1, 0)),
        (["2", "2"], (2, 2)),
        (["3"], (1, 3)),
    ]
    three = Schema((Field(name="steps", type=Kind.FLOAT, shape=(3,)),))
    errors = {batch.ids[0]: batch.error for batch in batches(past(tmp_path, three))}
    assert errors["3"] is None
    assert errors["2"] == "the request's 'steps' has shape [2], expected steps: float[3]"


def test_requests_that_are_removed_after_the_windows_were_made_are_not_read(tmp_path: Path) -> None:
    fill(tmp_path, arriving(Process(), 4, every=10))
    found = past(tmp_path)
    (window,) = found.windows()
    table = reading.table(str(tmp_path), ENDPOINT, "requests")
    delete(table, "id IN ('r0000', 'r0002')")
    shred(table)
    assert found.read(window).ids == ["r0001", "r0003"]
    delete(table, "true")
    assert list(found.read(window).batches(10)) == []


def test_an_archive_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    fill(tmp_path, arriving(Process(), 4, every=10))
    found = past(tmp_path)
    for file in (tmp_path / ENDPOINT / "requests").rglob("*.parquet"):
        file.unlink()
    with pytest.raises(ArchiveError, match=r"the archive cannot be read: .*parquet"):
        found.windows()


# --- what does not fit ----------------------------------------------------------------------


def test_a_period_without_a_request_says_which_has(tmp_path: Path) -> None:
    fill(tmp_path, arriving(Process(), 3, every=SECOND))
    empty = Period(since=START - timedelta(days=2), until=START - timedelta(days=1))
    there = "the archive has 3, from 2023-11-14T22:13:20Z to 2023-11-14T22:13:22Z"
    with pytest.raises(ArchiveError, match=f"no request came from 2023-11-12T22:13:20Z to .*; {there}"):
        past(tmp_path, period=empty).windows()


def test_an_archive_without_a_request_says_so(tmp_path: Path) -> None:
    fill(tmp_path, [])
    with pytest.raises(ArchiveError, match="none at all yet"):
        past(tmp_path).windows()


def test_a_model_that_needs_what_no_request_has_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, [Process().input(ids(1))])
    with pytest.raises(
        SchemaMismatch, match="needs the input 'age', which no archived request has; they have bmi"
    ):
        past(tmp_path, Schema((Field(name="age", type=Kind.INT),)))


@pytest.mark.parametrize(
    "field", [Field(name="bmi", type=Kind.STRING), Field(name="bmi", type=Kind.FLOAT, shape=(2,))], ids=str
)
def test_a_model_that_takes_an_input_for_something_else_is_refused(field: Field, tmp_path: Path) -> None:
    fill(tmp_path, [Process().input(ids(1))])
    with pytest.raises(SchemaMismatch, match="'bmi' is float in the archive, and the model takes bmi:"):
        past(tmp_path, Schema((field,)))


def test_the_endpoint_says_what_a_model_gets_instead_of_an_input_that_clients_need_not_send() -> None:
    model = Schema(
        (BMI, Field(name="bp", type=Kind.FLOAT), Field(name="own", type=Kind.INT, optional=True, default=3))
    )
    found = with_defaults(model, Schema((BMI, BP)))
    assert [(field.optional, field.default) for field in found.fields] == [
        (False, None),
        (True, 0.5),
        (True, 3),
    ]


# --- windows --------------------------------------------------------------------------------


@given(
    seconds=st.lists(
        st.tuples(st.integers(0, 500), st.integers(1, 20)), min_size=1, unique_by=lambda s: s[0]
    ),
    most=st.integers(1, 60),
)
def test_windows_cover_every_second_once_and_are_no_larger_than_they_may(
    seconds: list[tuple[int, int]], most: int
) -> None:
    seconds.sort()
    at = np.array([second * SECOND for second, _ in seconds])
    rows = np.array([count for _, count in seconds])
    found = list(windows(at, rows, rows * 2, most_rows=most))
    assert [sum(w.since <= time < w.until for w in found) for time in at] == [1] * len(at)
    assert sum(window.rows for window in found) == 2 * rows.sum()
    assert sum(window.requests for window in found) == rows.sum()
    for window in found:
        inside = sum(window.since <= time < window.until for time in at)
        assert window.rows <= most or inside == 1
    for one, following in pairwise(found):
        assert one.until <= following.since
