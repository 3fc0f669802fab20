"""LightGBM's models: the same answers from the library's own text, and files that would crash it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
from sklearn.datasets import load_iris

from podium.errors import PackageError, ProjectError, VersionConflict
from podium.models.loading import load
from podium.schema import Kind

from ..sources import Make
from .kept import NOBODY, columns, opened, with_file

NAMES = ["sepal width", "b", "c", "d"]
TABLE, SPECIES = load_iris(return_X_y=True)
TOWNS = np.array(["Bonn", "Köln", "Ulm"], dtype=object)[SPECIES]
SETTINGS: dict[str, Any] = {"n_estimators": 3, "num_leaves": 4, "verbose": -1, "n_jobs": 1}
SOURCE = """
    from pathlib import Path
    import lightgbm, numpy as np, pandas as pd
    from sklearn.datasets import load_iris
    import podium

    X, y = load_iris(return_X_y=True)
    X = pd.DataFrame(X, columns=["sepal width", "b", "c", "d"])
    settings = dict(n_estimators=3, num_leaves=4, verbose=-1, n_jobs=1)

    def train():
        model = {model}
        return podium.Trained(model, inputs={inputs}, output="species")
"""


def source(model: str, inputs: str = "X[::5]") -> str:
    return SOURCE.format(model=model, inputs=inputs)


TOWN = 'lightgbm.LGBMClassifier(**settings).fit(X, np.array(["Bonn", "Köln", "Ulm"], object)[y])'
THREE = source(TOWN)
BOOSTER = "lightgbm.train(dict(objective='regression', verbose=-1, num_leaves=4), lightgbm.Dataset(X, y), 3)"


def test_a_classifier_gives_its_own_labels_and_their_probabilities(make: Make) -> None:
    packed = make(THREE)
    label, probability = packed.manifest.outputs.fields
    assert (packed.manifest.format, packed.why) == ("lightgbm", "it is kept as LightGBM's own text")
    assert (label.type, probability.classes) == (Kind.STRING, ("Bonn", "Köln", "Ulm"))
    found = opened(packed).predict(columns(TABLE, NAMES))
    original = lightgbm.LGBMClassifier(**SETTINGS).fit(TABLE, TOWNS).booster_.predict(TABLE)
    np.testing.assert_allclose(found["species_probability"], original, rtol=1e-9)
    towns = np.array(["Bonn", "Köln", "Ulm"])
    assert found["species"].tolist() == towns[np.asarray(original).argmax(axis=1)].tolist()
    assert found["species"].dtype == object


@pytest.mark.parametrize(("labels", "kind"), [("y == 1", Kind.BOOL), ("y % 2 + 7", Kind.INT)])
def test_labels_of_any_type_come_back_as_they_were(make: Make, labels: str, kind: Kind) -> None:
    scorer = opened(make(source(f"lightgbm.LGBMClassifier(**settings).fit(X, {labels})")))
    given = eval(labels, {"y": SPECIES})
    found = scorer.predict(columns(TABLE, NAMES))
    assert scorer.outputs["species"].type is kind
    assert set(found["species"].tolist()) <= set(given.tolist())
    assert found["species_probability"].shape == (150, 2)
    assert (found["species"] == given).mean() > 0.5


def test_a_booster_scores_one_row_and_many(make: Make) -> None:
    scorer = opened(make(source(BOOSTER)))
    data = lightgbm.Dataset(TABLE, SPECIES)
    booster = lightgbm.train({"objective": "regression", "verbose": -1, "num_leaves": 4}, data, 3)
    for rows in (1, 150):
        found = scorer.predict(columns(TABLE[:rows], NAMES))["species"]
        np.testing.assert_allclose(found, booster.predict(TABLE[:rows]), rtol=1e-9)


def test_a_file_from_elsewhere_is_found_beside_the_module(make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "project" / "models"
    folder.mkdir(parents=True)
    model = lightgbm.LGBMRegressor(**SETTINGS).fit(TABLE, SPECIES)
    model.booster_.save_model(folder / "given.txt")
    found = opened(make(source("Path('given.txt')"))).predict(columns(TABLE, NAMES))["species"]
    np.testing.assert_allclose(found, model.predict(TABLE), rtol=1e-9)


def test_categories_that_are_numbers_are_kept(make: Make) -> None:
    fit = "lightgbm.LGBMRegressor(**settings, min_data_per_group=1, cat_smooth=0)"
    fit += ".fit(X.round(), y, categorical_feature=[0, 1, 2, 3])"
    packed = make(source(fit, "X.round()[::5]"))
    assert "cat_threshold=" in (packed.folder / "model.txt").read_text()
    found = opened(packed).predict(columns(TABLE.round(), NAMES))["species"]
    scope = {"lightgbm": lightgbm, "settings": SETTINGS, "X": TABLE.round(), "y": SPECIES}
    original = eval(fit.replace("X.round()", "X"), scope)
    np.testing.assert_allclose(found, original.predict(TABLE.round()), rtol=1e-9)


def test_the_same_model_has_the_same_digest(make: Make) -> None:
    first = make(THREE)
    shutil.rmtree(first.folder)
    assert make(THREE).digest == first.digest


@pytest.mark.parametrize(
    ("model", "inputs", "says"),
    [
        (BOOSTER, "X[['b', 'sepal width', 'c', 'd']]", "fitted with the columns sepal_width, b"),
        (BOOSTER, "X[['b']]", "rows of 4 numbers, the inputs have 1"),
        (BOOSTER, "{'town': ['Ulm'], 'b': [1.0], 'c': [1.0], 'd': [1.0]}", "takes numbers"),
        ("lightgbm.LGBMRegressor(**settings, linear_tree=True).fit(X, y)", "X", "linear models"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(make: Make, model: str, inputs: str, says: str) -> None:
    with pytest.raises((PackageError, ProjectError), match=says):
        make(source(model, inputs))


# --- files that are not what they say -------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("left_child=99999999 -1", "a child that is not there"),
        ("left_child=0 -1", "a child that is not there"),
        ("left_child=1 1", "two parents"),
        ("left_child=1", "expected 2"),
        ("left_child=one two", "no whole numbers"),
        ("right_child=-77 -3", "a leaf that is not there"),
        ("split_feature=0 77", "a feature that is not there"),
        ("num_leaves=1000000000000", "another number of leaves"),
        ("decision_type=1 2", "categories not there"),
        ("num_cat=3", "no text of LightGBM's: KeyError"),
        ("num_leaves=4\nnum_leaves=5", "twice"),
    ],
)
def test_trees_that_are_none_are_refused_before_lightgbm_reads_them(make: Make, line: str, says: str) -> None:
    packed = make(THREE)
    text = (packed.folder / "model.txt").read_text()
    bad, count = re.subn(rf"^{line.partition('=')[0]}=.*$", line, text, count=1, flags=re.MULTILINE)
    assert count == 1
    with pytest.raises(PackageError, match=says):
        load(with_file(packed, "model.txt", bad.encode()), trust=NOBODY)


@pytest.mark.parametrize(
    "content", [b"", b"junk", b"\xff\xfe", b"tree\nversion=v4\n", b"cos\nsystem\n(S'id'\ntR."]
)
def test_what_is_no_model_is_an_error_and_nothing_more(make: Make, content: bytes) -> None:
    with pytest.raises(PackageError, match="damaged or hostile"):
        load(with_file(make(THREE), "model.txt", content), trust=NOBODY)


def test_offsets_that_point_anywhere_are_not_followed(make: Make) -> None:
    packed = make(THREE)
    text = (packed.folder / "model.txt").read_text()
    bad = re.sub(r"tree_sizes=.*", "tree_sizes=" + " ".join(["99999999999"] * 9), text)
    scorer = load(with_file(packed, "model.txt", bad.encode()), trust=NOBODY)
    assert scorer.predict(columns(TABLE, NAMES))["species"].shape == (150,)


def test_a_file_of_a_newer_lightgbm_is_a_conflict_of_versions(make: Make) -> None:
    with pytest.raises(VersionConflict, match=r"installed lightgbm \d.* cannot read what 99\.1\.0 wrote"):
        load(with_file(make(THREE), "model.txt", b"tree\nversion=v99\n", lightgbm="99.1.0"), trust=NOBODY)
