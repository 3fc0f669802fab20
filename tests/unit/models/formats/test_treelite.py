"""treelite's models: the same answers from its checkpoint, and files that would crash it or never end."""

from __future__ import annotations

import random
import shutil
import struct
from pathlib import Path

import msgspec
import numpy as np
import pytest
import treelite
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

from podium.errors import ModelFailed, PackageError, ProjectError, VersionConflict
from podium.models import manifest as manifests
from podium.models.formats.treelite import _check, _Reader
from podium.models.loading import load
from podium.schema import Schema

from ..sources import Make
from .kept import NOBODY, columns, opened, renamed, with_file

NAMES = ["a", "b", "c", "d"]
TABLE, SPECIES = load_iris(return_X_y=True)
SOURCE = """
    from pathlib import Path
    import treelite, xgboost
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier
    import podium

    X, y = load_iris(return_X_y=True)

    def train():
        model = {model}
        return podium.Trained(model, inputs=dict(zip("abcd", X[::5].T)), output="species")
"""
FOREST = SOURCE.format(
    model="treelite.sklearn.import_model(RandomForestClassifier(5, random_state=0).fit(X, y))"
)


def forest() -> RandomForestClassifier:
    return RandomForestClassifier(5, random_state=0).fit(TABLE, SPECIES)


def test_a_forest_gives_the_probabilities_of_the_original(make: Make) -> None:
    packed = make(FOREST)
    assert (packed.manifest.format, packed.why) == ("treelite", "it is kept as treelite's checkpoint")
    assert str(packed.manifest.outputs) == "{species: float[3]}"
    for rows in (1, 150):
        found = opened(packed).predict(columns(TABLE[:rows], NAMES))["species"]
        np.testing.assert_allclose(found, forest().predict_proba(TABLE[:rows]), rtol=1e-9)


def test_a_file_from_elsewhere_is_found_beside_the_module(make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "project" / "models"
    folder.mkdir(parents=True)
    treelite.sklearn.import_model(forest()).serialize(folder / "given.tl")
    found = opened(make(SOURCE.format(model="Path('given.tl')"))).predict(columns(TABLE, NAMES))["species"]
    np.testing.assert_allclose(found, forest().predict_proba(TABLE), rtol=1e-9)


def test_one_value_is_no_tensor(make: Make) -> None:
    boosted = "treelite.frontend.from_xgboost(xgboost.XGBRegressor(n_estimators=3).fit(X, y).get_booster())"
    assert str(make(SOURCE.format(model=boosted)).manifest.outputs) == "{species: float}"


def test_the_same_model_has_the_same_digest(make: Make) -> None:
    first = make(FOREST)
    shutil.rmtree(first.folder)
    assert make(FOREST).digest == first.digest


def test_other_columns_than_the_model_has_are_refused(make: Make) -> None:
    with pytest.raises(ProjectError, match="rows of 4 numbers, the inputs have 3"):
        make(FOREST.replace('"abcd"', '"abc"'))


@pytest.mark.parametrize(
    "content", [b"", b"junk", b"\x04\0\0\0" + b"\xff" * 200, b"cos\nsystem\n(S'id'\ntR."]
)
def test_what_is_no_model_is_an_error_and_nothing_more(make: Make, content: bytes) -> None:
    with pytest.raises(PackageError, match="damaged or hostile"):
        load(with_file(make(FOREST), "model.tl", content), trust=NOBODY)


def test_a_length_beyond_the_file_is_refused_before_treelite_believes_it(make: Make) -> None:
    packed = make(FOREST)
    content = bytearray((packed.folder / "model.tl").read_bytes())
    struct.pack_into("<Q", content, 14, 2**63)  # the number of trees
    with pytest.raises(PackageError, match="a tree has no place"):
        load(with_file(packed, "model.tl", bytes(content)), trust=NOBODY)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("cleft", 2**31 - 1, "a child that is not there"),
        ("cleft", 0, "a child that is not there"),  # its own parent: a walk without end
        ("cleft", 2, "two parents"),
        ("split_index", 77, "a feature that is not there"),
        ("leaf_vector_begin", 10**9, "list is not there"),
        ("node_type", 9, "of no known kind"),
    ],
)
def test_trees_that_are_none_are_refused_before_treelite_reads_them(
    make: Make, field: str, value: int, says: str
) -> None:
    packed = make(FOREST)
    model = treelite.Model.deserialize(packed.folder / "model.tl")
    tree = model.get_tree_accessor(0)
    changed = tree.get_field(field).copy()
    changed[0] = tree.get_field("cright")[0] if says == "two parents" else value
    tree.set_field(field, changed)
    with pytest.raises(PackageError, match=says):
        load(with_file(packed, "model.tl", model.serialize_bytes()), trust=NOBODY)


def test_rows_that_are_too_short_are_not_read_beyond_their_end(make: Make) -> None:
    packed = make(FOREST)
    short = Schema(packed.manifest.inputs.fields[:2])
    manifests.write(msgspec.structs.replace(packed.manifest, inputs=short), packed.folder)
    with pytest.raises(ModelFailed, match="takes 4 numbers, not 2"):
        load(renamed(packed.folder), trust=NOBODY)


def test_whatever_byte_is_changed_the_check_ends_with_yes_or_no() -> None:
    content = treelite.sklearn.import_model(forest()).serialize_bytes()
    chance = random.Random(0)
    refused = 0
    for _ in range(200):
        changed = bytearray(content)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        try:
            _check(_Reader(bytes(changed)))
        except (PackageError, struct.error):
            refused += 1
    assert 10 < refused < 200


def test_a_file_of_a_newer_treelite_is_a_conflict_of_versions(make: Make) -> None:
    with pytest.raises(VersionConflict, match=r"installed treelite \d.* cannot read what 99\.1\.0 wrote"):
        load(
            with_file(make(FOREST), "model.tl", struct.pack("<iii", 99, 1, 0), treelite="99.1.0"),
            trust=NOBODY,
        )
