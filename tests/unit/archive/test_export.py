"""The table to train on: what came in, what was answered, what happened, and how much each row counts."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podium.archive.export import Export, Exported
from podium.errors import ArchiveError, MissingExtra, NotFound
from podium.period import EPOCH, Period
from podium.protocol.frames import Frame
from podium.schema import Field, Kind, Schema

from .filled import fill
from .traffic import ENDPOINT, NOW, Process

START = EPOCH + timedelta(microseconds=NOW)
HOUR = Period(since=START, until=START + timedelta(hours=1))


class Traffic:
    """A gateway and a worker, and what happened later."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self._gateway, self._worker = Process("gateway-1"), Process("worker-1")

    def ask(self, id: str, bmi: float = 1.0, *, at: int = 0, rule: str = "champion", **more: Any) -> None:
        columns = {"bmi": np.array([bmi])}
        self.frames.append(self._gateway.input([id], columns, arrived=[NOW + at]))
        answer = {"progression": np.array([bmi * 2])}
        self.frames.append(self._gateway.answers([id], answer, rules=[rule], **more))
        self.frames.append(self._worker.scores([id], answer))

    def happened(self, id: str, value: float, *, done: int = 10) -> None:
        self.frames.append(self._gateway.outcomes([id], {"progression": np.array([value])}, done=NOW + done))


def exported(archive: Path, name: str = "data.parquet", **options: Any) -> Exported:
    given: dict[str, Any] = {"period": HOUR, **options}
    return Export(archive=str(archive / "archive"), endpoint=ENDPOINT, **given).write(archive / name)


def table(file: Path) -> list[dict[str, Any]]:
    found = duckdb.sql(f"SELECT * REPLACE (epoch_us(received) AS received) FROM '{file}'")
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def archived(folder: Path, frames: Sequence[Frame], **options: Any) -> None:
    fill(folder / "archive", frames, **options)


def test_a_row_has_its_inputs_its_answer_its_outcome_and_its_weight(tmp_path: Path) -> None:
    traffic = Traffic()
    traffic.ask("late", 3.0, at=5)
    traffic.ask("early", 1.5)
    traffic.happened("early", 7.0)
    archived(tmp_path, traffic.frames)
    found = exported(tmp_path)
    assert (found.rows, found.with_outcome, found.unrepresented) == (2, 1, 0)
    early, late = table(tmp_path / "data.parquet")
    assert early == {
        "id": "early",
        "row": 0,
        "received": NOW,
        "in_bmi": 1.5,
        "model": "linear",
        "version": "9f2c1ab04d5e",
        "rule": "champion",
        "out_progression": 3.0,
        "true_progression": 7.0,
        "weight": 2.0,
    }
    assert (late["id"], late["true_progression"], late["weight"]) == ("late", None, None)


def test_who_called_is_not_in_it(tmp_path: Path) -> None:
    frame = Process().input(["a"], callers=["alice"], keys=["account 7"])
    archived(tmp_path, [frame])
    exported(tmp_path, "data.csv")
    assert "alice" not in (tmp_path / "data.csv").read_text()
    assert "account 7" not in (tmp_path / "data.csv").read_text()


def test_of_several_outcomes_the_last_that_came_counts(tmp_path: Path) -> None:
    traffic = Traffic()
    traffic.ask("a")
    traffic.happened("a", 3.0, done=30)
    traffic.happened("a", 1.0, done=10)
    traffic.happened("a", 2.0, done=20)
    archived(tmp_path, traffic.frames)
    exported(tmp_path)
    (row,) = table(tmp_path / "data.parquet")
    assert row["true_progression"] == 3.0


def test_an_id_that_was_used_twice_is_two_rows_and_not_four(tmp_path: Path) -> None:
    traffic = Traffic()
    traffic.ask("a", 1.0)
    traffic.ask("a", 2.0, at=1)
    archived(tmp_path, traffic.frames)
    assert exported(tmp_path).rows == 2


def test_each_row_of_a_request_is_a_row(tmp_path: Path) -> None:
    gateway = Process()
    frames = [gateway.input(["a"], rows=[3]), gateway.answers(["a"], rows=[3])]
    archived(tmp_path, frames)
    exported(tmp_path)
    found = [(row["row"], row["in_bmi"], row["out_progression"]) for row in table(tmp_path / "data.parquet")]
    assert found == [(0, 0.0, 0.0), (1, 1.0, 1.0), (2, 2.0, 2.0)]


def test_a_request_that_nobody_answered_is_there_too(tmp_path: Path) -> None:
    archived(tmp_path, [Process().input(["a"])])
    exported(tmp_path)
    (row,) = table(tmp_path / "data.parquet")
    assert (row["in_bmi"], row["model"], row["out_progression"], row["weight"]) == (0.0, None, None, None)


def test_scores_of_every_contender_are_columns_live_ones_before_replayed(tmp_path: Path) -> None:
    traffic = Traffic()
    traffic.ask("a", 1.0)
    forest = Process("worker-2")
    traffic.frames.append(
        forest.scores(["a"], {"progression": np.array([5.0])}, model="forest", version="0a1b2c3d4e5f")
    )
    failed = Process("worker-3").scores(["a"], {}, model="broken", version="00000000000b", error="no")
    archived(tmp_path, [*traffic.frames, failed])
    exported(tmp_path, with_scores=True)
    (row,) = table(tmp_path / "data.parquet")
    assert row["linear@9f2c1ab04d5e.progression"] == 2.0
    assert row["forest@0a1b2c3d4e5f.progression"] == 5.0
    assert row["broken@00000000000b.progression"] is None


def test_tensors_and_texts_are_columns_too(tmp_path: Path) -> None:
    inputs = Schema((Field(name="image", type=Kind.FLOAT, shape=(2,)), Field(name="town", type=Kind.STRING)))
    columns = {"image": np.array([[1.0, 2.0]]), "town": np.array(['"Ulm", south'], object)}
    archived(tmp_path, [Process().input(["a"], columns)], inputs=inputs)
    exported(tmp_path)
    (row,) = table(tmp_path / "data.parquet")
    assert (row["in_image"], row["in_town"]) == ([1.0, 2.0], '"Ulm", south')
    exported(tmp_path, "data.csv")
    with (tmp_path / "data.csv").open() as file:
        (line,) = csv.DictReader(file)
    assert (line["in_image"], line["in_town"]) == ("[1.0, 2.0]", '"Ulm", south')


def test_an_archive_from_before_there_were_outcomes_is_exported_with_none(tmp_path: Path) -> None:
    traffic = Traffic()
    traffic.ask("a")
    archived(tmp_path, traffic.frames)
    folder = tmp_path / "archive" / ENDPOINT / "outcomes"
    folder.rename(tmp_path / "elsewhere")
    assert exported(tmp_path).with_outcome == 0
    (row,) = table(tmp_path / "data.parquet")
    assert (row["true_progression"], row["weight"]) == (None, None)


# --- weights --------------------------------------------------------------------------------


def test_a_row_counts_for_those_of_its_version_rule_and_day_that_have_no_outcome(tmp_path: Path) -> None:
    traffic = Traffic()
    for n in range(4):
        traffic.ask(f"a{n}")
    for n in range(6):
        traffic.ask(f"b{n}", rule="default", model="", version="")
    for n in range(5):
        traffic.ask(f"c{n}", at=3600_000_000 * 24)  # the next day
    traffic.ask("none", rule="forced")
    for id in ("a0", "a3", "b1", "c0", "c1", "c2", "c3", "c4"):
        traffic.happened(id, 1.0)
    archived(tmp_path, traffic.frames)
    found = exported(tmp_path, period=Period(since=START, until=START + timedelta(days=2)))
    assert (found.rows, found.with_outcome, found.unrepresented) == (16, 8, 1)
    weights = {
        row["id"]: row["weight"] for row in table(tmp_path / "data.parquet") if row["weight"] is not None
    }
    assert weights == {"a0": 2.0, "a3": 2.0, "b1": 6.0, **{f"c{n}": 1.0 for n in range(5)}}


@given(
    strata=st.lists(
        st.lists(st.tuples(st.floats(-10, 10), st.booleans()), min_size=1, max_size=8), min_size=1, max_size=3
    )
)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_weights_add_up_to_all_rows_of_every_stratum_that_has_an_outcome(
    strata: list[list[tuple[float, bool]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("weights")
    traffic = Traffic()
    for number, rows in enumerate(strata):
        for place, (value, observed) in enumerate(rows):
            id = f"{number}.{place}"
            traffic.ask(id, value, rule=("champion", "challenger", "default")[number])
            if observed:
                traffic.happened(id, value)
    archived(folder, traffic.frames)
    found = exported(folder)
    represented = sum(len(rows) for rows in strata if any(observed for _, observed in rows))
    weights = [row["weight"] for row in table(folder / "data.parquet") if row["weight"] is not None]
    assert sum(weights) == pytest.approx(represented)
    assert found.unrepresented == found.rows - represented


# --- what cannot be -------------------------------------------------------------------------


def test_a_period_without_a_request_says_which_has_and_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    traffic = Traffic()
    traffic.ask("a")
    archived(tmp_path, traffic.frames)
    (tmp_path / "data.parquet").write_text("old")
    early = Period(since=START - timedelta(days=9), until=START - timedelta(days=8))
    with pytest.raises(
        ArchiveError, match=r"no request came from 2023-11-05.* the archive has 1, from 2023-11"
    ):
        exported(tmp_path, period=early)
    assert (tmp_path / "data.parquet").read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "data.parquet"}


def test_nothing_archived_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing is archived at"):
        exported(tmp_path)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    archived(tmp_path, [Process().input(["a"])])
    with pytest.raises(ArchiveError, match=r"missing/data\.csv cannot be written: No such file"):
        exported(tmp_path, "missing/data.csv")


def test_without_duckdb_the_command_that_installs_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archived(tmp_path, [Process().input(["a"])])
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingExtra, match=r"pip install 'podium\[reports\]'"):
        exported(tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
