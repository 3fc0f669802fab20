"""LightGBM: trees as the library's own text. Its numbers are checked before it reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from podium.errors import MissingExtra, PackageError, ProjectError
from podium.models.formats.base import EXACT, Allowed, Given, Kept, Written, unreadable
from podium.models.formats.soundness import Unsound, check_children, check_features, numbers, require
from podium.models.formats.table import Score, TablePredictor, check_same, outputs_of, shown, table_layout
from podium.models.layout import Layout, feed
from podium.models.manifest import Manifest

try:
    import lightgbm
except ImportError:
    raise MissingExtra("lightgbm", "lightgbm") from None

FILE = "model.txt"
_END = "end of trees"
_BY_CATEGORY = 1
"""The bit of a split's `decision_type` that says that its threshold is a set of categories."""


def open(package: Path, manifest: Manifest, allowed: Allowed) -> TablePredictor:
    try:
        booster = _loaded((package / FILE).read_text(encoding="utf-8"))
    except (lightgbm.basic.LightGBMError, PackageError, OSError, UnicodeDecodeError) as error:
        raise unreadable(manifest, "lightgbm", lightgbm.__version__, error) from None
    score = _score(booster, allowed.threads)
    return TablePredictor(score, Layout(manifest.layout), manifest.inputs, manifest.outputs)


def keep(given: Given) -> Kept:
    model = given.model
    text = _text(model)
    kept = _loaded(text)
    layout = table_layout(given.inputs, kept.num_feature(), _columns(kept, given))
    labels = np.asarray(model.classes_) if isinstance(model, lightgbm.LGBMClassifier) else None
    scored = _score(kept, threads=1)(feed(layout, given.inputs)(given.columns))
    answers = shown(scored, given.names, labels)
    outputs = outputs_of(answers, labels)
    if isinstance(model, lightgbm.LGBMModel):
        check_same(model, given, answers, outputs)
    (given.folder / FILE).write_text(text, encoding="utf-8")
    written = Written(
        layout=layout,
        tolerance=EXACT,
        libraries=["numpy", "lightgbm"],
        why="it is kept as LightGBM's own text",
    )
    return Kept(format="lightgbm", outputs=outputs, answers=answers, written=written)


def _text(model: Any) -> str:
    """Only the trees: what comes after them (importances, parameters of training) serves no prediction."""
    if isinstance(model, Path):
        try:
            text = model.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PackageError(f"{model.name} cannot be read as LightGBM's text: {error}") from None
    elif isinstance(model, lightgbm.LGBMModel):
        text = model.booster_.model_to_string()
    elif isinstance(model, lightgbm.Booster):
        text = model.model_to_string()
    else:
        raise ProjectError(
            f"{type(model).__name__} is no model of LightGBM's: give a Booster or an LGBMModel"
        )
    trees, end, _ = text.partition(f"\n{_END}")
    return f"{trees}{end}\n"


def _columns(booster: Any, given: Given) -> list[str]:
    """The names that it was fitted with: LightGBM makes spaces underscores, and names columns itself."""
    fitted: list[str] = booster.feature_name()
    if fitted == [f"Column_{index}" for index in range(len(fitted))]:
        return []
    if fitted == [name.replace(" ", "_") for name in given.inputs.names]:
        return list(given.inputs.names)
    return fitted


def _score(booster: Any, threads: int) -> Score:
    def score(rows: np.ndarray) -> np.ndarray:
        return np.asarray(booster.predict(rows, num_threads=threads))

    return score


# --- reading --------------------------------------------------------------------------------


def _loaded(text: str) -> Any:
    """Raises LightGBMError or Unsound.

    Without the offsets of its trees (`tree_sizes`), which could point anywhere, LightGBM reads them in order.
    """
    try:
        _check(text)
    except (KeyError, ValueError, IndexError) as error:
        raise Unsound(f"it is no text of LightGBM's: {error!r}") from None
    lines = (line for line in text.split("\n") if not line.startswith("tree_sizes="))
    return lightgbm.Booster(model_str="\n".join(lines))


def _check(text: str) -> None:
    require(text.startswith("tree\nversion="), "it does not begin with `tree` and its version")
    require(f"\n{_END}\n" in text, "its trees have no end")
    header, *trees = _sections(text.partition(f"\n{_END}\n")[0])
    classes = int(header["num_class"])
    each = int(header["num_tree_per_iteration"])
    features = int(header["max_feature_idx"]) + 1
    require(
        0 < classes <= each and len(trees) % each == 0, f"{len(trees)} trees do not fit {classes} classes"
    )
    require(len(header["feature_names"].split()) == features, "it names another number of features")
    for word in header.get("objective", "").split():
        if word.startswith("num_class:"):
            require(int(word.partition(":")[2]) == classes == each, "its objective has other classes")
    for index, tree in enumerate(trees):
        require(tree["Tree"] == str(index), "its trees are not in order")
        _check_tree(tree, features)


def _sections(text: str) -> Iterator[dict[str, str]]:
    """The header and the trees, each as its `name=value` lines."""
    for part in text.split("\nTree="):
        lines = part.split("\n") if part.startswith("tree\n") else f"Tree={part}".split("\n")
        pairs = [line.split("=", 1) for line in lines if "=" in line]
        section = dict(pairs)
        require(len(section) == len(pairs), "a name is there twice")
        yield section


def _check_tree(tree: dict[str, str], features: int) -> None:
    leaves = int(tree["num_leaves"])
    require(leaves > 0, "a tree has no leaves")
    require(tree.get("is_linear", "0") == "0", "its leaves are linear models, which Podium does not serve")
    require(len(tree["leaf_value"].split()) == leaves, "a tree has another number of leaves")
    if leaves == 1:
        return
    inner = leaves - 1
    threshold = tree["threshold"].split()
    require(len(threshold) == inner, "a tree has another number of thresholds")
    left, right, feature, decision = (
        numbers(tree[name].split(), inner, name)
        for name in ("left_child", "right_child", "split_feature", "decision_type")
    )
    children = np.concatenate([left, right])
    check_children(children[children >= 0], inner)
    require((~children[children < 0] < leaves).all(), "a tree has a leaf that is not there")
    check_features(feature, features)
    by_category = (decision & _BY_CATEGORY).astype(bool)
    _check_categories(tree, [float(t) for t, asked in zip(threshold, by_category, strict=True) if asked])


def _check_categories(tree: dict[str, str], sets: list[float]) -> None:
    count = int(tree["num_cat"])
    require(
        count >= 0 and all(0 <= number < count for number in sets), "a tree asks for categories not there"
    )
    if count:
        bounds = numbers(tree["cat_boundaries"].split(), count + 1, "bounds of categories")
        size = len(tree["cat_threshold"].split())
        require(
            bounds[0] == 0 and bounds[-1] == size and (np.diff(bounds) > 0).all(), "its categories do not fit"
        )
