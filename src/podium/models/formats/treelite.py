"""treelite: tree ensembles of any library, as its checkpoint. Numbers are checked before it reads them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from podium.errors import MissingExtra, ModelFailed, PackageError, ProjectError
from podium.models.formats.base import EXACT, Allowed, Given, Kept, Written, unreadable
from podium.models.formats.soundness import Unsound, check_tree, numbers, require
from podium.models.formats.table import Score, TablePredictor, outputs_of, shown, table_layout
from podium.models.layout import Layout, feed
from podium.models.manifest import Manifest

try:
    import treelite
except ImportError:
    raise MissingExtra("treelite", "treelite") from None

FILE = "model.tl"
_MAJOR = 4
_TYPES = {2: 4, 3: 8}
"""Of thresholds and leaves: float32 and float64, in bytes."""

_CATEGORICAL = 2
_LEAF = 0


def open(package: Path, manifest: Manifest, allowed: Allowed) -> TablePredictor:
    try:
        model = _loaded((package / FILE).read_bytes())
    except (treelite.TreeliteError, PackageError, OSError) as error:
        raise unreadable(manifest, "treelite", treelite.__version__, error) from None
    score = _score(model, allowed.threads)
    return TablePredictor(score, Layout(manifest.layout), manifest.inputs, manifest.outputs)


def keep(given: Given) -> Kept:
    content = _content(given.model)
    model = _loaded(content)
    layout = table_layout(given.inputs, model.num_feature, ())
    answers = shown(_score(model, threads=1)(feed(layout, given.inputs)(given.columns)), given.names, None)
    (given.folder / FILE).write_bytes(content)
    written = Written(
        layout=layout,
        tolerance=EXACT,
        libraries=["numpy", "treelite"],
        why="it is kept as treelite's checkpoint",
    )
    return Kept(format="treelite", outputs=outputs_of(answers, None), answers=answers, written=written)


def _content(model: Any) -> bytes:
    if isinstance(model, Path):
        return model.read_bytes()
    if not isinstance(model, treelite.Model):
        raise ProjectError(f"{type(model).__name__} is no treelite.Model: treelite.frontend makes one")
    content: bytes = model.serialize_bytes()
    return content


def _score(model: Any, threads: int) -> Score:
    """treelite gives [rows, targets, classes]: of one target, or one class, that axis is left out."""
    number = np.dtype(model.input_type)

    def score(rows: np.ndarray) -> np.ndarray:
        if rows.shape[1] != model.num_feature:  # treelite itself would read beyond the row
            raise ModelFailed(f"treelite's model takes {model.num_feature} numbers, not {rows.shape[1]}")
        found = np.asarray(treelite.gtil.predict(model, rows.astype(number), nthread=threads))
        return found.reshape(len(rows), -1) if found.size > len(rows) else found.reshape(len(rows))

    return score


# --- reading --------------------------------------------------------------------------------


def _loaded(content: bytes) -> Any:
    """Raises TreeliteError or Unsound."""
    try:
        _check(_Reader(content))
    except struct.error:
        raise Unsound("it ends before its trees do") from None
    return treelite.Model.deserialize_bytes(content)


class _Reader:
    """treelite's serialisation: single values, and arrays with their length before them."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def one(self, kind: str) -> int:
        (value,) = struct.unpack_from(f"<{kind}", self._content, self._at)
        self._at += struct.calcsize(f"<{kind}")
        return int(value)

    def many(self, kind: str) -> np.ndarray:
        size = np.dtype(kind).itemsize
        count = self.one("Q")
        require(count * size <= len(self._content) - self._at, "an array is longer than its file")
        self._at += count * size
        return np.frombuffer(self._content, kind, count, self._at - count * size)

    @property
    def rest(self) -> int:
        return len(self._content) - self._at


def _check(file: _Reader) -> None:
    """The file as treelite 4 writes it, in its order. Later fields of its own are not read: refused."""
    require(file.one("i") == _MAJOR, f"it is no checkpoint of treelite {_MAJOR}")
    file.one("i"), file.one("i")
    threshold, leaf = file.one("B"), file.one("B")
    require(threshold in _TYPES and leaf in _TYPES, "its numbers have no known type")
    trees, features = file.one("Q"), file.one("i")
    file.one("B"), file.one("B")
    targets, classes, leaf_shape = file.one("i"), file.many("<i4"), file.many("<i4")
    require(targets > 0 and len(classes) == targets and (classes > 0).all(), "its targets have no classes")
    require(len(leaf_shape) == 2 and (leaf_shape > 0).all(), "its leaves have no shape")
    for which, count in ((file.many("<i4"), targets), (file.many("<i4"), classes.max())):
        require(len(which) == trees, "a tree has no place in the answer")
        require(((which >= -1) & (which < count)).all(), "a tree adds to a class that is not there")
    file.many("u1"), file.one("I"), file.one("I")
    require(len(file.many("<f8")) == targets * classes.max(), "it has another number of base scores")
    file.many("u1")
    require(file.one("i") == 0, "it has fields that this Podium does not know")
    for _ in range(trees):
        _check_tree(file, features, int(leaf_shape.prod()), f"<f{_TYPES[threshold]}", f"<f{_TYPES[leaf]}")
    require(file.rest == 0, "there is more after its trees")


def _check_tree(file: _Reader, features: int, leaf_size: int, threshold: str, leaf: str) -> None:
    nodes = file.one("i")
    file.one("B")
    kinds = numbers(file.many("i1"), nodes, "kinds of nodes")
    left, right, feature = (
        numbers(file.many("<i4"), nodes, what)
        for what in ("left children", "right children", "split features")
    )
    for kind in ("u1", leaf, threshold, "i1", "u1"):
        require(len(file.many(kind)) == nodes, "a node has no value")
    require(((kinds >= _LEAF) & (kinds <= _CATEGORICAL)).all(), "a node is of no known kind")
    require(((kinds == _LEAF) == (left == -1)).all(), "a leaf has children")
    check_tree(left, right, feature, features)
    _check_lists(file, leaf, nodes, np.flatnonzero(kinds == _LEAF), leaf_size)
    _check_lists(file, "<u4", nodes, np.flatnonzero(kinds == _CATEGORICAL), 0)
    for kind in ("<u8", "u1", "<f8", "u1", "<f8", "u1"):
        require(len(file.many(kind)) in (0, nodes), "a node has no statistics")
    require(file.one("i") == file.one("i") == 0, "a tree has fields that this Podium does not know")


def _check_lists(file: _Reader, kind: str, nodes: int, used: np.ndarray, size: int) -> None:
    """Each node's part of one long list, by begin and end; `size` is how long a used one is, if not 0."""
    values, begin, end = file.many(kind), file.many("<u8"), file.many("<u8")
    require(len(begin) == len(end) == nodes, "a node has no list")
    require(((begin <= end) & (end <= len(values))).all(), "a node's list is not there")
    if size > 1:
        require((end[used] - begin[used] == size).all(), "a leaf has another shape")
