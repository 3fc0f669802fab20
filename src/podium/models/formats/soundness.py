"""Whether the trees in a file are trees: asked before a library, written in C++, walks them.

XGBoost, LightGBM and treelite believe the numbers in their files. A child that is not there is a read
outside of memory, and a node that is its own ancestor a walk without end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from podium.errors import PackageError

LEAF = -1


class Unsound(PackageError):
    """A file's numbers contradict each other."""


def require(holds: bool | np.bool_, what: str) -> None:
    """Raise Unsound with this fact unless it holds."""
    if not holds:
        raise Unsound(what)


def numbers(values: Any, size: int, what: str) -> np.ndarray:
    """These whole numbers as an array of this length."""
    try:
        array = np.asarray(values, dtype=np.int64)
    except (ValueError, TypeError, OverflowError):
        raise Unsound(f"{what} are no whole numbers") from None
    require(array.shape == (size,), f"there are {array.size} {what}, expected {size}")
    return array


def check_tree(left: np.ndarray, right: np.ndarray, feature: np.ndarray, features: int) -> None:
    """Raise Unsound unless node 0 is the root of a tree; a leaf's left child is LEAF."""
    nodes = len(left)
    require(nodes > 0, "a tree has no nodes")
    inner = left != LEAF
    check_children(np.concatenate([left[inner], right[inner]]), nodes)
    check_features(feature[inner], features)


def check_children(children: np.ndarray, nodes: int) -> None:
    """With one parent at most for each node and none for the root, no walk from the root comes back."""
    require(((children > 0) & (children < nodes)).all(), "a tree's node has a child that is not there")
    require(len(np.unique(children)) == len(children), "a tree's node has two parents")


def check_features(feature: np.ndarray, features: int) -> None:
    require(((feature >= 0) & (feature < features)).all(), "a tree asks for a feature that is not there")
