"""Live columns beside those of training: counted, over a window, and never in the archive's way."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from podium.archive import drift as drift_module
from podium.archive import drift_report
from podium.archive.drift import COLUMNS, ROWS_A_TURN, DriftWatch, ProfilesOf
from podium.archive.drift_report import LiveDrift
from podium.archive.entries import Door
from podium.errors import UnknownVersion
from podium.profiles import Bins, Profile, Profiles
from podium.protocol.frames import Frame, encode
from podium.schema import Columns, Field, Kind, Schema

from .traffic import ENDPOINT, OUTPUTS, Process, ids

INPUTS = Schema(
    (
        Field(name="bmi", type=Kind.FLOAT, missing=True),
        Field(name="town", type=Kind.STRING),
        Field(name="image", type=Kind.FLOAT, shape=(4,)),
        Field(name="smoker", type=Kind.BOOL),
        Field(name="age", type=Kind.INT),
    )
)
LINEAR, FOREST = "linear@9f2c1ab04d5e", "forest@0a1b2c3d4e5f"
ROLES = {LINEAR: "champion", FOREST: "challenger", "decoy": "decoy"}
chance = np.random.default_rng(0)
TRAINING = {
    "bmi": chance.normal(size=1000),
    "town": chance.choice(np.array(["Bonn", "Ulm"], object), 1000),
    "image": chance.normal(size=(1000, 4)),
    "smoker": chance.random(1000) > 0.5,
    "age": chance.integers(1, 90, 1000),
}
SCORES = {"progression": chance.normal(150, 50, 1000)}
KNOWN = Profiles(
    inputs={name: Profile.of(values) for name, values in TRAINING.items()},
    scores={name: Profile.of(values) for name, values in SCORES.items()},
)


def inputs(count: int = 200, **others: np.ndarray) -> dict[str, np.ndarray]:
    """Rows as in training, but for these columns."""
    return {name: others.get(name, values[:count]) for name, values in TRAINING.items()}


class Scene:
    """A watch, its clock, and processes whose frames it sees."""

    def __init__(
        self, folder: Path, profiles_of: ProfilesOf = lambda model, version: KNOWN, schema: Schema = INPUTS
    ) -> None:
        self.now = 1000.0
        self.folder = folder
        self.gateway = Process("gateway-1")
        self.worker = Process("worker-1")
        self._door = Door(ENDPOINT, schema, OUTPUTS)
        self._watch = DriftWatch(
            schema, OUTPUTS, profiles_of, folder=folder, window=600.0, clock=lambda: self.now
        )

    def see(self, *frames: Frame) -> None:
        """As the archiver does; and some seconds later once more, nothing having come."""
        self._watch([self._door.admit(n + 1, encode(frame)) for n, frame in enumerate(frames)])
        self.wait(drift_module.PUBLISH_SECONDS)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self._watch(())

    def asked(self, columns: Columns, roles: Mapping[str, str] | None = ROLES) -> None:
        rows = len(next(iter(columns.values())))
        self.see(self.gateway.input(ids(rows), columns, contenders=None if roles is None else dict(roles)))

    def scored(self, values: np.ndarray, **more: Any) -> None:
        self.see(self.worker.scores(ids(len(values)), {"progression": values}, **more))

    def columns(self, contender: str = LINEAR) -> dict[str, LiveDrift]:
        model, _, version = contender.partition("@")
        return {each.column: each for each in drift_report.read(self.folder).of(model, version)}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


# --- what is counted --------------------------------------------------------------------------


def test_what_is_as_in_training_is_stable_and_what_moved_comes_first(scene: Scene) -> None:
    scene.asked(inputs(bmi=TRAINING["bmi"][:200] + 2))
    for contender in (LINEAR, FOREST):
        found = scene.columns(contender)
        assert next(iter(found)) == "bmi"
        assert {each.level for name, each in found.items() if name in TRAINING and name != "bmi"} == {
            "stable"
        }
        assert (found["bmi"].level, found["bmi"].part, found["bmi"].count) == ("drifted", "input", 200)
        assert (found["bmi"].psi or 0) > 1
        assert 0.5 < (found["bmi"].ks or 0) < 1


def test_scores_are_their_own_contenders(scene: Scene) -> None:
    scene.asked(inputs())
    scene.scored(SCORES["progression"][:300])
    scene.scored(SCORES["progression"][:300] + 200, model="forest", version="0a1b2c3d4e5f")
    linear, forest = (scene.columns(contender)["progression"] for contender in (LINEAR, FOREST))
    assert (linear.part, linear.count, linear.level) == ("score", 300, "stable")
    assert (forest.part, forest.count, forest.level) == ("score", 300, "drifted")


def test_nan_is_missing_and_a_new_category_is_one_of_the_others(scene: Scene) -> None:
    bmi = np.where(np.arange(200) < 50, np.nan, TRAINING["bmi"][:200])
    town = np.where(np.arange(200) < 80, "Trier", TRAINING["town"][:200])
    scene.asked(inputs(bmi=bmi, town=town))
    found = scene.columns()
    assert (found["bmi"].missing_before, found["bmi"].missing_now, found["bmi"].level) == (
        0, 0.25, "drifted",
    )  # fmt: skip
    assert (found["town"].others_before, found["town"].others_now, found["town"].level) == (
        0, 0.4, "drifted",
    )  # fmt: skip


def test_values_of_a_tensor_are_counted_together_booleans_and_integers_too(scene: Scene) -> None:
    scene.asked(inputs(smoker=np.ones(200, bool), age=np.arange(200) % 90 + 1000))
    found = scene.columns()
    assert (found["image"].count, found["image"].level) == (800, "stable")
    assert found["smoker"].level == found["age"].level == "drifted"


def test_integers_that_stand_for_floats_are_counted(scene: Scene) -> None:
    scene.asked(inputs(bmi=np.arange(200)))
    assert (scene.columns()["bmi"].count, scene.columns()["bmi"].level) == (200, "drifted")


def test_frames_are_added_up(scene: Scene) -> None:
    frames = [
        scene.gateway.input(ids(20, f"{n}."), inputs(20), contenders=ROLES, rows=None) for n in range(5)
    ]
    scene.see(*frames)
    scene.asked(inputs(30))
    assert scene.columns()["bmi"].count == scene.columns()["town"].count == 130


def test_requests_that_could_not_be_scored_are_no_scores(scene: Scene) -> None:
    values = np.concatenate([SCORES["progression"][:60], np.zeros(40)])
    errors = dict.fromkeys(range(30, 50), "it is NaN")
    scene.see(
        scene.worker.scores(ids(50), {"progression": values}, rows=[2] * 50, errors=errors),
        scene.worker.scores(ids(9), {}, error="no score within 5 s"),
    )
    found = scene.columns()["progression"]
    assert (found.count, found.level) == (60, "stable")


def test_late_scores_count(scene: Scene) -> None:
    scene.scored(SCORES["progression"][:40], late=[0, 1])
    assert scene.columns()["progression"].count == 40


def test_only_who_is_to_score_a_frame_is_counted(scene: Scene) -> None:
    scene.asked(inputs(), {LINEAR: "champion"})
    scene.asked(inputs())
    assert (scene.columns(LINEAR)["bmi"].count, scene.columns(FOREST)["bmi"].count) == (400, 200)


def test_a_frame_that_names_nobody_is_for_all_who_are_known(scene: Scene) -> None:
    scene.asked(inputs())
    scene.asked(inputs(), None)
    assert (scene.columns(LINEAR)["bmi"].count, scene.columns(FOREST)["bmi"].count) == (400, 400)


def test_too_few_values_say_nothing(scene: Scene) -> None:
    scene.asked(inputs(10, bmi=np.full(10, 9.0)))
    found = scene.columns()["bmi"]
    assert (found.count, found.psi, found.level) == (10, None, None)


def test_of_very_many_rows_a_sample_is_counted(scene: Scene) -> None:
    one = scene.gateway.input(ids(100), inputs(100), contenders=ROLES)
    scene.see(*[one] * 200)
    assert scene.columns()["bmi"].count == ROWS_A_TURN


# --- the window -------------------------------------------------------------------------------


def test_the_window_moves_on_in_steps(scene: Scene) -> None:
    scene.asked(inputs(bmi=TRAINING["bmi"][:200] + 2))
    scene.wait(300)
    scene.asked(inputs())
    assert (scene.columns()["bmi"].count, scene.columns()["bmi"].level) == (400, "drifted")
    scene.wait(295)
    assert (scene.columns()["bmi"].count, scene.columns()["bmi"].level) == (200, "stable")


def test_who_was_not_seen_for_a_window_is_forgotten(scene: Scene) -> None:
    scene.asked(inputs())
    scene.wait(301)
    scene.asked(inputs(), {LINEAR: "champion"})
    scene.wait(300)
    assert scene.columns(LINEAR)
    assert not scene.columns(FOREST)
    scene.wait(100_000)
    assert drift_report.read(scene.folder).contenders == ()
    scene.asked(inputs())
    assert scene.columns(FOREST)["bmi"].count == 200


def test_a_hundred_who_come_and_go_leave_nothing(scene: Scene) -> None:
    for number in range(100):
        scene.asked(inputs(5), {f"linear@{number:012x}": "challenger"})
        scene.wait(60)
    assert len(drift_report.read(scene.folder).contenders) <= 10


# --- what cannot be counted -------------------------------------------------------------------


def test_a_column_that_the_endpoint_does_not_have_is_left_out(tmp_path: Path) -> None:
    more = {"height": Profile.of(TRAINING["bmi"])}
    scene = Scene(tmp_path, lambda model, version: Profiles(inputs={**KNOWN.inputs, **more}))
    scene.asked(inputs())
    assert set(scene.columns()) == set(TRAINING)


def test_an_optional_column_that_a_frame_lacks_is_not_counted_for_it(tmp_path: Path) -> None:
    fields = (INPUTS["bmi"], Field(name="age", type=Kind.INT, optional=True, default=1))
    scene = Scene(tmp_path, schema=Schema(fields))
    scene.asked({"bmi": TRAINING["bmi"][:50]})
    scene.asked({"bmi": TRAINING["bmi"][:50], "age": TRAINING["age"][:50]})
    assert (scene.columns()["bmi"].count, scene.columns()["age"].count) == (100, 50)


def test_a_package_without_profiles_is_not_watched(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    scene = Scene(tmp_path, lambda model, version: Profiles())
    scene.asked(inputs())
    scene.asked(inputs())
    assert drift_report.read(tmp_path).contenders == ()
    assert caplog.text.count(f"{LINEAR} has no profiles of training") == 1


def test_a_wide_contender_is_watched_in_its_first_columns_and_its_scores(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wide = Schema(tuple(Field(name=f"x{n}", type=Kind.FLOAT) for n in range(COLUMNS + 10)))
    values = dict.fromkeys(wide.names, TRAINING["bmi"][:30])
    profiles = Profiles(inputs={name: Profile.of(values[name]) for name in wide.names}, scores=KNOWN.scores)
    scene = Scene(tmp_path, lambda model, version: profiles, wide)
    scene.asked(values, {LINEAR: "champion"})
    scene.asked(values, {LINEAR: "champion"})
    assert len(scene.columns()) == COLUMNS
    assert {"progression", "x0", f"x{COLUMNS - 2}"} <= set(scene.columns())
    assert caplog.text.count(f"has {COLUMNS + 11} columns, drift is watched in {COLUMNS} of them") == 1


def numbers_for_words(model: str, version: str) -> Profiles:
    profile = Profile(bins=Bins(edges=(0.0,)), counts=(0, 20, 20))
    return Profiles(inputs={"town": profile}) if model == "forest" else KNOWN


def counts_for_other_bins(model: str, version: str) -> Profiles:
    profile = Profile(bins=Bins(categories=("Ulm",)), counts=(10, 20))
    return Profiles(inputs={"town": profile}) if model == "forest" else KNOWN


def lost(model: str, version: str) -> Profiles:
    if model == "forest":
        raise UnknownVersion("there is no forest@0a1b2c3d4e5f")
    return KNOWN


@pytest.mark.parametrize("profiles_of", [numbers_for_words, counts_for_other_bins, lost])
def test_what_fails_for_one_contender_is_said_once_and_is_no_other_ones_problem(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, profiles_of: ProfilesOf
) -> None:
    scene = Scene(tmp_path, profiles_of)
    scene.asked(inputs())
    scene.asked(inputs())
    assert caplog.text.count(f"drift of {FOREST} is not watched") == 1
    assert scene.columns(LINEAR)["bmi"].count == 400
    assert not scene.columns(FOREST)


def test_whatever_else_fails_is_said_once_and_never_raised(
    scene: Scene, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.asked(inputs())
    assert scene.columns()
    monkeypatch.setattr(drift_module, "_sorted", lambda entries: 1 / 0)
    scene.asked(inputs())
    scene.asked(inputs())
    assert not scene.columns(), "what is not watched is not shown"
    assert caplog.text.count("drift is not watched any more") == 1


def test_a_report_that_cannot_be_written_is_written_later(scene: Scene, tmp_path: Path) -> None:
    scene.folder.rmdir()
    scene.asked(inputs())
    tmp_path.mkdir()
    scene.asked(inputs())
    assert scene.columns()["bmi"].count == 400
