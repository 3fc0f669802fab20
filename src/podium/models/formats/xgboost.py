"""XGBoost: trees as the library's own JSON. Its numbers are checked before it reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from podium.errors import MissingExtra, PackageError, ProjectError
from podium.models.formats.base import EXACT, Allowed, Given, Kept, Written, unreadable
from podium.models.formats.soundness import LEAF, Unsound, check_tree, numbers, require
from podium.models.formats.table import Score, TablePredictor, check_same, outputs_of, shown, table_layout
from podium.models.formats.ubjson import decode
from podium.models.layout import Layout, feed
from podium.models.manifest import Manifest
from podium.models.requirements import versions

try:
    import xgboost
except ImportError:
    raise MissingExtra("xgboost", "xgboost") from None

FILE = "model.json"
_DISTRIBUTIONS = ("xgboost", "xgboost-cpu")
_ESTIMATORS = {
    kind.__name__: kind
    for kind in (
        xgboost.XGBClassifier,
        xgboost.XGBRegressor,
        xgboost.XGBRFClassifier,
        xgboost.XGBRFRegressor,
    )
}
_CATEGORICAL = 1
_NO_PARENT = 2**31 - 1


def open(package: Path, manifest: Manifest, allowed: Allowed) -> TablePredictor:
    try:
        booster = _loaded((package / FILE).read_bytes(), allowed.threads)
    except (ValueError, PackageError, OSError) as error:  # XGBoost's own is a ValueError
        raise unreadable(manifest, "xgboost", xgboost.__version__, error) from None
    return TablePredictor(_score(booster), Layout(manifest.layout), manifest.inputs, manifest.outputs)


def keep(given: Given) -> Kept:
    model = given.model
    booster = _booster(model)
    content = bytes(booster.save_raw("json"))
    kept = _loaded(content, threads=1)
    layout = table_layout(given.inputs, kept.num_features(), booster.feature_names or ())
    labels = np.asarray(model.classes_) if isinstance(model, xgboost.XGBClassifier) else None
    answers = shown(_score(kept)(feed(layout, given.inputs)(given.columns)), given.names, labels)
    outputs = outputs_of(answers, labels)
    if isinstance(model, xgboost.XGBModel):
        check_same(model, given, answers, outputs)
    (given.folder / FILE).write_bytes(content)
    libraries = ["numpy", *versions(_DISTRIBUTIONS)]
    written = Written(
        layout=layout, tolerance=EXACT, libraries=libraries, why="it is kept as XGBoost's own JSON"
    )
    return Kept(format="xgboost", outputs=outputs, answers=answers, written=written)


def _booster(model: Any) -> Any:
    if isinstance(model, xgboost.XGBModel):
        if not np.isnan(model.missing):
            raise ProjectError(
                f"missing={model.missing} is not in XGBoost's file: use NaN for what is missing"
            )
        return model.get_booster()
    if isinstance(model, xgboost.Booster):
        return model
    if not isinstance(model, Path):
        raise ProjectError(f"{type(model).__name__} is no model of XGBoost's: give a Booster or an XGBModel")
    try:
        return read(model.read_bytes())
    except ValueError as error:  # XGBoost's own is one
        raise PackageError(f"{model.name} is no model of XGBoost's: {_said(error)}") from None
    except Unsound as error:
        raise PackageError(f"{model.name} is no model of XGBoost's: {error}") from None


def read(content: bytes) -> Any:
    """A Booster from XGBoost's JSON or UBJSON, checked. Raises ValueError or Unsound."""
    if content[:2] == b'{"' or content[:1] != b"{":
        return _loaded(content, threads=1)
    return _loaded(msgspec.json.encode(decode(content)), threads=1)


def read_as(kind: str, path: Path) -> Any:
    """A file as the estimator that it was saved from, by its class's name; any other name is a Booster."""
    booster = _booster(path)
    estimator = _ESTIMATORS.get(kind)
    if estimator is None:
        return booster
    model = estimator()
    model.load_model(bytearray(booster.save_raw("json")))
    return model


def _said(error: Exception) -> str:
    first = str(error).partition("\n")[0]
    return first.partition("] ")[2] or first


def _score(booster: Any) -> Score:
    best = booster.attr("best_iteration")
    rounds = (0, int(best) + 1) if best else (0, 0)

    def score(rows: np.ndarray) -> np.ndarray:
        found: np.ndarray = booster.inplace_predict(rows, iteration_range=rounds)
        return found

    return score


# --- reading: checked first, and written anew, so that XGBoost reads exactly what was checked ----


class _TreeParam(msgspec.Struct):
    num_nodes: str
    size_leaf_vector: str = "1"


class _Tree(msgspec.Struct):
    tree_param: _TreeParam
    id: int
    parents: list[int]
    base_weights: list[float]
    loss_changes: list[float]
    sum_hessian: list[float]
    left_children: list[int]
    right_children: list[int]
    split_indices: list[int]
    split_conditions: list[float]
    default_left: list[int]
    split_type: list[int]
    categories: list[int]


class _TreesParam(msgspec.Struct):
    num_trees: str


class _Trees(msgspec.Struct, kw_only=True):
    gbtree_model_param: _TreesParam
    iteration_indptr: list[int] | None = None
    trees: list[_Tree]
    tree_info: list[int]


class _Booster(msgspec.Struct):
    name: str
    model: dict[str, Any] = {}
    gbtree: dict[str, Any] = {}


class _Shape(msgspec.Struct):
    num_feature: str
    num_class: str = "0"
    num_target: str = "1"


class _Learner(msgspec.Struct):
    gradient_booster: _Booster
    learner_model_param: _Shape


class _File(msgspec.Struct):
    learner: _Learner


def _loaded(content: bytes, threads: int) -> Any:
    """Raises XGBoostError or Unsound."""
    try:
        raw = msgspec.json.decode(content)
        _check(msgspec.convert(raw, _File).learner)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise Unsound(f"it is no JSON of XGBoost's: {error}") from None
    booster = xgboost.Booster({"nthread": threads})
    booster.load_model(bytearray(msgspec.json.encode(raw)))
    booster.set_param({"nthread": threads})
    return booster


def _check(learner: _Learner) -> None:
    given = learner.gradient_booster
    require(given.name in ("gbtree", "dart"), f"its booster is {given.name!r}; Podium serves gbtree and dart")
    trees = msgspec.convert(given.gbtree.get("model") if given.name == "dart" else given.model, _Trees)
    shape = learner.learner_model_param
    groups = max(int(shape.num_class), int(shape.num_target), 1)
    group = numbers(trees.tree_info, len(trees.trees), "trees' groups")
    require(((group >= 0) & (group < groups)).all(), "a tree adds to a class that is not there")
    require(int(trees.gbtree_model_param.num_trees) == len(group), "it has another number of trees")
    _check_rounds(trees.iteration_indptr, len(group))
    for index, tree in enumerate(trees.trees):
        require(tree.id == index, "its trees are not in order")
        _check_tree(tree, int(shape.num_feature))


def _check_rounds(given: list[int] | None, trees: int) -> None:
    """Where each round of training begins in the list of trees; files of XGBoost 2.0 and before have none."""
    if given is not None:
        rounds = numbers(given, len(given), "rounds")
        require(len(rounds) > 0 and rounds[0] == 0 and rounds[-1] == trees, "its rounds are not its trees")
        require((np.diff(rounds) > 0).all(), "a round has no trees")


def _check_tree(tree: _Tree, features: int) -> None:
    nodes = int(tree.tree_param.num_nodes)
    require(
        tree.tree_param.size_leaf_vector in ("0", "1"), "its leaves are vectors, which Podium does not serve"
    )
    split_type = numbers(tree.split_type, nodes, "kinds of splits")
    require(
        not tree.categories and not (split_type == _CATEGORICAL).any(),
        "it splits by categories, which Podium does not serve: encode them as numbers",
    )
    for values in (tree.split_conditions, tree.base_weights, tree.loss_changes, tree.sum_hessian):
        require(len(values) == nodes, f"there are {len(values)} values of nodes, expected {nodes}")
    numbers(tree.default_left, nodes, "default directions")
    left = numbers(tree.left_children, nodes, "left children")
    right = numbers(tree.right_children, nodes, "right children")
    check_tree(left, right, numbers(tree.split_indices, nodes, "split features"), features)
    parents = numbers(tree.parents, nodes, "parents")
    inner = np.flatnonzero(left != LEAF)
    mutual = (parents[left[inner]] == inner) & (parents[right[inner]] == inner)
    require(mutual.all() and parents[0] == _NO_PARENT, "a tree's node has another parent than it says")
    require(((parents >= 0) & ((parents < nodes) | (parents == _NO_PARENT))).all(), "a parent is not there")
