"""Archived requests are scored by a version that was not there, each once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.archive import looking
from tests.unit.archive.filled import fill
from tests.unit.archive.traffic import ENDPOINT, INPUTS, NOW, OUTPUTS, Process

from podium.archive import past
from podium.errors import ArchiveError, NotFound, SchemaMismatch
from podium.models.manifest import Tolerance
from podium.period import EPOCH, Period
from podium.records import Contender, Role
from podium.schema import Columns, Field, Kind, Schema
from podium.workers.replay import Endpoint, Replay, Report

START = EPOCH + timedelta(microseconds=NOW)
HOUR = Period(since=START, until=START + timedelta(hours=1))
FOREST = Contender(model="forest", version="0a1b2c3d4e5f", number=2, role=Role.CHALLENGER)
LINEAR = Contender(model="linear", version="9f2c1ab04d5e", number=1, role=Role.CHALLENGER)


class Doubled:
    """A model; it raises for a row that is `bad`."""

    def __init__(self, inputs: Schema = INPUTS, outputs: Schema = OUTPUTS, *, bad: float = -1.0) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.batches: list[int] = []
        self._bad = bad

    def predict(self, columns: Columns) -> Mapping[str, np.ndarray]:
        if (columns["bmi"] == self._bad).any():
            raise ValueError("that one")
        self.batches.append(len(columns["bmi"]))
        return {"progression": columns["bmi"] * 2.0}


def replayed(
    archive: Path,
    scorer: Any = None,
    *,
    contender: Contender = FOREST,
    period: Period = HOUR,
    inputs: Schema = INPUTS,
    outputs: Schema = OUTPUTS,
    **options: Any,
) -> Report:
    endpoint = Endpoint(name=ENDPOINT, archive=str(archive), inputs=inputs, outputs=outputs)
    within = Tolerance(relative=0.0, absolute=0.01)
    return Replay(endpoint, contender, scorer or Doubled(), period, within=within, **options).run()


def scores(archive: Path, *, model: str = "forest") -> list[dict[str, Any]]:
    found = looking.rows(str(archive), "scores")
    return [row for row in found if row["model"] == model and row["replayed"]]


def numbered(count: int, **more: Any) -> list[Any]:
    """One request a second, with its number as `bmi`."""
    gateway = Process()
    return [
        gateway.input([f"r{n}"], {"bmi": np.array([float(n)])}, arrived=[NOW + n * 1_000_000], **more)
        for n in range(count)
    ]


def test_each_request_has_a_replayed_score_of_the_version_in_its_role(tmp_path: Path) -> None:
    fill(tmp_path, numbered(7), parts=3)
    report = replayed(tmp_path, batch_rows=2)
    assert (report.of, report.read, report.scored, report.failed) == (7, 7, 7, 0)
    found = scores(tmp_path)
    assert [(row["id"], row["row"], row["out_progression"]) for row in found] == [
        (f"r{n}", 0, 2.0 * n) for n in range(7)
    ]
    assert {(row["version"], row["role"], row["status"], row["queue_ms"]) for row in found} == {
        ("0a1b2c3d4e5f", "challenger", "ok", 0.0)
    }
    assert all(row["scored"] > NOW and row["compute_ms"] > 0 for row in found)


def test_requests_of_many_rows_are_scored_whole(tmp_path: Path) -> None:
    fill(tmp_path, [Process().input(["a", "b"], rows=[2, 3])])
    scorer = Doubled()
    replayed(tmp_path, scorer, batch_rows=3)
    assert scorer.batches == [2, 3]
    assert [(row["id"], row["row"], row["out_progression"]) for row in scores(tmp_path)] == [
        ("a", 0, 0.0), ("a", 1, 2.0), ("b", 0, 4.0), ("b", 1, 6.0), ("b", 2, 8.0),
    ]  # fmt: skip


def test_only_the_period_and_only_so_many_are_scored(tmp_path: Path) -> None:
    fill(tmp_path, numbered(20))
    period = Period(since=START + timedelta(seconds=5), until=START + timedelta(seconds=15))
    report = replayed(tmp_path, period=period, limit=4, batch_rows=3)
    assert (report.of, report.read) == (10, 4)
    assert sorted(row["id"] for row in scores(tmp_path)) == ["r5", "r6", "r7", "r8"]


def test_nothing_is_read_past_the_last_request_that_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past, "WINDOW_BYTES", 400)
    fill(tmp_path, numbered(25))
    windows: list[past.Window] = []
    read = past.Past.read
    monkeypatch.setattr(past.Past, "read", lambda self, window: windows.append(window) or read(self, window))
    assert replayed(tmp_path, limit=5).read == 5
    assert sum(window.requests for window in windows) < 10


def test_small_windows_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "WINDOW_BYTES", 400)
    fill(tmp_path, numbered(25), parts=4)
    assert replayed(tmp_path).scored == 25
    assert len(scores(tmp_path)) == 25


def test_a_request_that_the_model_cannot_score_is_an_error_of_its_own(tmp_path: Path) -> None:
    fill(tmp_path, numbered(8))
    report = replayed(tmp_path, Doubled(bad=3.0))
    assert (report.scored, report.failed, report.errors) == (7, 1, {"ValueError: that one": 1})
    (failed,) = [row for row in scores(tmp_path) if row["status"] == "error"]
    assert (failed["id"], failed["error"], failed["out_progression"]) == ("r3", "ValueError: that one", None)


def test_requests_from_before_an_input_that_the_model_needs_are_errors(tmp_path: Path) -> None:
    gateway = Process()
    fill(tmp_path, [gateway.input(["old"])])
    grown = Schema((*INPUTS.fields, Field(name="age", type=Kind.INT)))
    columns = {"bmi": np.array([1.0]), "age": np.array([40])}
    fill(tmp_path, [gateway.input(["new"], columns, arrived=[NOW + 1])], grown)
    report = replayed(tmp_path, Doubled(grown), inputs=grown)
    assert report.errors == {"the request came before the input 'age'": 1}
    assert [(row["id"], row["status"]) for row in scores(tmp_path)] == [("new", "ok"), ("old", "error")]


def test_tensors_and_texts_go_in_and_come_out(tmp_path: Path) -> None:
    inputs = Schema(
        (Field(name="image", type=Kind.FLOAT, shape=(2, 2)), Field(name="town", type=Kind.STRING))
    )
    outputs = Schema((Field(name="odds", type=Kind.FLOAT, shape=(3,)), Field(name="label", type=Kind.STRING)))

    class Labels:
        def __init__(self) -> None:
            self.inputs, self.outputs = inputs, outputs

        def predict(self, columns: Columns) -> Mapping[str, np.ndarray]:
            total = columns["image"].sum(axis=(1, 2))
            label = np.array([f"{town}!" for town in columns["town"]], object)
            return {"odds": np.stack([total, total, -total], axis=1), "label": label}

    columns = {"image": np.arange(8.0).reshape(2, 2, 2), "town": np.array(["Bonn", "Ulm"], object)}
    fill(tmp_path, [Process().input(["a", "b"], columns)], inputs, outputs)
    replayed(tmp_path, Labels(), inputs=inputs, outputs=outputs)
    assert [(row["out_odds"], row["out_label"]) for row in scores(tmp_path)] == [
        ([6.0, 6.0, -6.0], "Bonn!"),
        ([22.0, 22.0, -22.0], "Ulm!"),
    ]


# --- a rate, an interruption, a second time -------------------------------------------------


def test_a_rate_is_kept_over_the_whole_replay(tmp_path: Path) -> None:
    fill(tmp_path, numbered(30))
    scorer = Doubled()
    report = replayed(tmp_path, scorer, rate=100.0)
    assert max(scorer.batches) <= 10
    assert report.seconds >= (30 - 10) / 100.0


def test_what_is_scored_when_a_replay_is_interrupted_is_kept_and_the_rest_can_be_scored_later(
    tmp_path: Path,
) -> None:
    fill(tmp_path, numbered(10))

    def interrupted(report: Report) -> None:
        if report.read == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replayed(tmp_path, batch_rows=2, tell=interrupted)
    assert len(scores(tmp_path)) == 4
    report = replayed(tmp_path, missing=True)
    assert (report.read, report.present) == (6, 4)
    assert sorted(row["id"] for row in scores(tmp_path)) == sorted(f"r{n}" for n in range(10))


def test_a_second_replay_of_the_same_requests_is_refused_with_what_there_is(tmp_path: Path) -> None:
    fill(tmp_path, numbered(10))
    replayed(tmp_path, limit=6)
    with pytest.raises(
        ArchiveError, match=r"^6 requests from .* have a replayed score of forest@0a1b2c3d4e5f .*--missing"
    ):
        replayed(tmp_path)
    assert len(scores(tmp_path)) == 6
    later = Period(since=START + timedelta(seconds=6), until=HOUR.until)
    assert replayed(tmp_path, period=later).read == 4
    assert replayed(tmp_path, contender=LINEAR).read == 10


def test_two_replays_of_one_version_at_once_score_nothing_twice(tmp_path: Path) -> None:
    fill(tmp_path, numbered(10))

    def meanwhile(report: Report) -> None:
        if report.read == 2:
            replayed(tmp_path)

    with pytest.raises(ArchiveError, match="written by another process meanwhile"):
        replayed(tmp_path, batch_rows=2, tell=meanwhile)
    assert sorted(row["id"] for row in scores(tmp_path)) == sorted(f"r{n}" for n in range(10))


def test_scores_wait_no_longer_for_their_commit_than_they_must(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("podium.workers.replay.COMMIT_SECONDS", 0.0)
    fill(tmp_path, numbered(6))
    kept: list[int] = []
    replayed(tmp_path, batch_rows=2, tell=lambda report: kept.append(len(scores(tmp_path))))
    assert kept == [2, 4, 6]


# --- the same request, the same package -----------------------------------------------------


def with_live_scores(archive: Path, *given: float) -> None:
    worker = Process("worker-1")
    frames = numbered(len(given))
    for n, value in enumerate(given):
        frames.append(worker.scores([f"r{n}"], {"progression": np.array([value])}, frame=n + 1))
    fill(archive, frames)


def test_a_version_that_scores_as_it_did_live_says_so(tmp_path: Path) -> None:
    with_live_scores(tmp_path, 0.0, 2.0, 4.0)
    report = replayed(tmp_path, contender=LINEAR)
    assert report.agreement is not None
    assert (report.agreement.rows, report.agreement.equal) == (3, 3)


def test_the_rows_that_a_version_scores_otherwise_than_live_are_shown(tmp_path: Path) -> None:
    with_live_scores(tmp_path, 0.0, 2.001, 4.5, 6.0)
    report = replayed(tmp_path, Doubled(bad=3.0), contender=LINEAR)
    found = report.agreement
    assert found is not None
    assert (found.rows, found.equal, found.near, found.different) == (3, 1, 1, 1)
    (shown,) = found.first
    assert (shown.id, shown.live, shown.replayed) == ("r2", {"progression": 4.5}, {"progression": 4.0})


def test_a_version_that_was_never_live_has_nothing_to_agree_with(tmp_path: Path) -> None:
    with_live_scores(tmp_path, 0.0)
    assert replayed(tmp_path, contender=FOREST).agreement is None


# --- what cannot be -------------------------------------------------------------------------


def test_nothing_archived_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing is archived at"):
        replayed(tmp_path)


def test_a_version_that_lacks_an_output_of_the_endpoint_is_refused_before_anything_is_scored(
    tmp_path: Path,
) -> None:
    fill(tmp_path, numbered(2))
    other = Schema((Field(name="label", type=Kind.STRING),))
    with pytest.raises(SchemaMismatch, match="'progression' is not one of its fields"):
        replayed(tmp_path, Doubled(outputs=other))
    assert scores(tmp_path) == []


def test_an_output_that_the_archive_does_not_know_yet_is_not_dropped_in_silence(tmp_path: Path) -> None:
    fill(tmp_path, numbered(2))
    grown = Schema((*OUTPUTS.fields, Field(name="spread", type=Kind.FLOAT)))
    with pytest.raises(ArchiveError, match="no column out_spread yet: `podium up` adds it"):
        replayed(tmp_path, Doubled(outputs=grown), outputs=grown)
