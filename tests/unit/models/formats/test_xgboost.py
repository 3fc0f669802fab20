"""XGBoost's models: the same answers from the library's own JSON, and files that would crash it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost
from sklearn.datasets import load_iris

from podium.errors import PackageError, ProjectError, VersionConflict
from podium.models.loading import load
from podium.schema import Kind

from ..sources import Make
from .kept import NOBODY, columns, opened, with_file

NAMES = ["a", "b", "c", "d"]
TABLE, SPECIES = load_iris(return_X_y=True)
SOURCE = """
    from pathlib import Path
    import pandas as pd, xgboost
    from sklearn.datasets import load_iris
    import podium

    X, y = load_iris(return_X_y=True)
    X = pd.DataFrame(X, columns=["a", "b", "c", "d"])

    def train():
        model = {model}
        return podium.Trained(model, inputs={inputs}, output="species")
"""


def source(model: str, inputs: str = "X[::5]") -> str:
    return SOURCE.format(model=model, inputs=inputs)


THREE = source("xgboost.XGBClassifier(n_estimators=5, max_depth=3).fit(X, y)")


def classifier(target: np.ndarray) -> Any:
    return xgboost.XGBClassifier(n_estimators=5, max_depth=3).fit(TABLE, target)


def test_a_classifier_gives_labels_and_the_probabilities_of_its_classes(make: Make) -> None:
    packed = make(THREE)
    label, probability = packed.manifest.outputs.fields
    assert (packed.manifest.format, packed.why) == ("xgboost", "it is kept as XGBoost's own JSON")
    assert (label.type, probability.shape, probability.classes) == (Kind.INT, (3,), ("0", "1", "2"))
    found = opened(packed).predict(columns(TABLE, NAMES))
    original = classifier(SPECIES)
    np.testing.assert_array_equal(found["species"], original.predict(TABLE))
    np.testing.assert_allclose(found["species_probability"], original.predict_proba(TABLE), rtol=1e-9)
    assert (found["species"].dtype, found["species_probability"].dtype) == ("<i8", "<f8")


def test_two_classes_have_two_probabilities(make: Make) -> None:
    scorer = opened(make(source("xgboost.XGBClassifier(n_estimators=5, max_depth=3).fit(X, y == 1)")))
    found, original = scorer.predict(columns(TABLE, NAMES)), classifier(SPECIES == 1)
    np.testing.assert_allclose(found["species_probability"], original.predict_proba(TABLE), rtol=1e-9)
    np.testing.assert_array_equal(found["species"], original.predict(TABLE))


def test_a_regressor_that_stopped_early_uses_its_best_round(make: Make) -> None:
    fitted = "xgboost.XGBRegressor(n_estimators=200, early_stopping_rounds=2).fit(X[::2], y[::2], {rest})"
    rest = "eval_set=[(X[1::2], y[1::2])], verbose=False"
    packed = make(source(fitted.replace("{rest}", rest)))
    scope: dict[str, Any] = {"xgboost": xgboost, "X": TABLE, "y": SPECIES}
    original = eval(fitted.replace("{rest}", rest), scope)
    assert original.best_iteration + 1 < original.get_booster().num_boosted_rounds()
    found = opened(packed).predict(columns(TABLE, NAMES))["species"]
    np.testing.assert_allclose(found, original.predict(TABLE), rtol=1e-9)


def test_a_booster_gives_what_its_objective_gives_for_one_row_and_for_many(make: Make) -> None:
    trained = "xgboost.train({'objective': 'multi:softprob', 'num_class': 3}, xgboost.DMatrix(X, y), 4)"
    scorer = opened(make(source(trained)))
    assert str(scorer.outputs) == "{species: float[3]}"
    booster = xgboost.train(
        {"objective": "multi:softprob", "num_class": 3}, xgboost.DMatrix(TABLE, SPECIES), 4
    )
    expected = booster.predict(xgboost.DMatrix(TABLE))
    np.testing.assert_allclose(scorer.predict(columns(TABLE, NAMES))["species"], expected, rtol=1e-9)
    one = scorer.predict(columns(TABLE[:1], NAMES))["species"]
    np.testing.assert_allclose(one, expected[:1], rtol=1e-9)


@pytest.mark.parametrize("suffix", ["json", "ubj"])
def test_a_file_from_elsewhere_is_found_beside_the_module(make: Make, tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "project" / "models"
    folder.mkdir(parents=True)
    booster = xgboost.train({"objective": "reg:squarederror"}, xgboost.DMatrix(TABLE, SPECIES), 3)
    booster.save_model(folder / f"given.{suffix}")
    packed = make(source(f"Path('given.{suffix}')"))
    found = opened(packed).predict(columns(TABLE, NAMES))["species"]
    np.testing.assert_allclose(found, booster.predict(xgboost.DMatrix(TABLE)), rtol=1e-9)


def test_the_same_model_has_the_same_digest(make: Make) -> None:
    first = make(THREE)
    shutil.rmtree(first.folder)
    assert make(THREE).digest == first.digest


def test_missing_values_go_the_way_that_training_found(make: Make) -> None:
    holes = "X.mask(X.a > 6)"
    scorer = opened(make(source(f"xgboost.XGBRegressor(n_estimators=5).fit({holes}, y)", f"{holes}[::5]")))
    table = np.where(TABLE[:, :1] > 6, np.nan, TABLE)
    original = xgboost.XGBRegressor(n_estimators=5).fit(table, SPECIES)
    found = scorer.predict(columns(table, NAMES))["species"]
    np.testing.assert_allclose(found, original.predict(table), rtol=1e-9)


@pytest.mark.parametrize(
    ("model", "inputs", "says"),
    [
        (
            "xgboost.XGBRegressor(n_estimators=2).fit(X, y)",
            "X[['b', 'a', 'c', 'd']]",
            "own example inputs|fitted with",
        ),
        (
            "xgboost.train({}, xgboost.DMatrix(X, y), 2)",
            "X[['b', 'a', 'c', 'd']]",
            "fitted with the columns a, b",
        ),
        ("xgboost.train({}, xgboost.DMatrix(X, y), 2)", "X[['a']]", "rows of 4 numbers, the inputs have 1"),
        ("xgboost.train({'booster': 'gblinear'}, xgboost.DMatrix(X, y), 2)", "X", "'gblinear'"),
        (
            "xgboost.XGBRegressor(n_estimators=2, missing=1.4).fit(X, y)",
            "X",
            "missing=1.4 is not in XGBoost's file",
        ),
        ("xgboost.train({}, xgboost.DMatrix(X, y), 2)", "{'a': 'float'}", "inputs are examples here"),
    ],
)
def test_what_the_file_cannot_hold_is_refused_with_the_reason(
    make: Make, model: str, inputs: str, says: str
) -> None:
    with pytest.raises((PackageError, ProjectError), match=says):
        make(source(model, inputs))


# --- files that are not what they say -------------------------------------------------------


def damaged(content: bytes, name: str, node: int, value: Any) -> bytes:
    """The file with another number in its first tree."""
    document = json.loads(content)
    document["learner"]["gradient_booster"]["model"]["trees"][0][name][node] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("left_children", 99_999_999, "a child that is not there"),
        ("left_children", 0, "a child that is not there"),  # its own parent: a walk without end
        ("left_children", 2, "two parents"),
        ("parents", -5, "another parent than it says"),
        ("split_indices", 77, "a feature that is not there"),
        ("split_indices", 10**30, "whole numbers|no JSON of XGBoost's"),
        ("left_children", [1], "no JSON of XGBoost's"),
        ("split_type", 1, "splits by categories"),
    ],
)
def test_trees_that_are_none_are_refused_before_xgboost_reads_them(
    make: Make, name: str, value: Any, says: str
) -> None:
    packed = make(THREE)
    bad = damaged((packed.folder / "model.json").read_bytes(), name, 0, value)
    with pytest.raises(PackageError, match=says):
        load(with_file(packed, "model.json", bad), trust=NOBODY)


def test_a_tree_with_other_arrays_than_it_declares_is_refused(make: Make) -> None:
    packed = make(THREE)
    document = json.loads((packed.folder / "model.json").read_bytes())
    tree = document["learner"]["gradient_booster"]["model"]["trees"][0]
    tree["tree_param"]["num_nodes"] = "1000000000000"
    with pytest.raises(PackageError, match="expected 1000000000000"):
        load(with_file(packed, "model.json", json.dumps(document).encode()), trust=NOBODY)


@pytest.mark.parametrize("content", [b"", b"junk", b"{}", b"[" * 100_000, b"cos\nsystem\n(S'id'\ntR."])
def test_what_is_no_model_is_an_error_and_nothing_more(make: Make, content: bytes) -> None:
    with pytest.raises(PackageError, match="damaged or hostile: it is no JSON of XGBoost's"):
        load(with_file(make(THREE), "model.json", content), trust=NOBODY)


def test_a_file_of_a_newer_xgboost_is_a_conflict_of_versions(make: Make) -> None:
    newer = {"xgboost-cpu": "99.1.0", "xgboost": "99.1.0"}
    with pytest.raises(VersionConflict, match=r"installed xgboost \d.* cannot read what 99\.1\.0 wrote"):
        load(with_file(make(THREE), "model.json", b'{"learner": {}}', **newer), trust=NOBODY)
