"""When two contenders' outputs are the same: one definition, for counts and comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the rows agree, numbers within `tolerance` of a's; `part` is None without rows."""

    rows: int
    agreed: int
    tolerance: float
    part: float | None


def agreement(rows: int, agreed: int, tolerance: float) -> Agreement:
    return Agreement(rows=rows, agreed=agreed, tolerance=tolerance, part=agreed / rows if rows else None)


def agreed(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray], tolerance: float) -> int:
    """The number of rows on which all outputs that both have agree; none where they share none."""
    same: Any = True
    for name, values in a.items():
        if name in b:
            same = same & agreeing(values, b[name], tolerance)
    return int(np.count_nonzero(same)) if isinstance(same, np.ndarray) else 0


def agreeing(a: np.ndarray, b: np.ndarray, tolerance: float) -> np.ndarray:
    """For each row, whether one output agrees.

    Numbers agree where `abs(a - b) <= tolerance * abs(a)`, everything else when it is equal; a tensor
    when all of its values do.
    """
    close: Any = np.abs(a - b) <= tolerance * np.abs(a) if a.dtype.kind == b.dtype.kind == "f" else a == b
    rows: np.ndarray = close if close.ndim == 1 else close.reshape(len(close), -1).all(axis=1)
    return rows
