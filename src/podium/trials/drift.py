"""Has a column moved? What it is now against what it was, from the profiles of both."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np

from podium.profiles import Profile

Level = Literal["stable", "moved", "drifted"]
MOVED = 0.1
DRIFTED = 0.25
"""The rule of thumb for the PSI: under 0.1 stable, from 0.25 on drifted.

Source: Siddiqi, "Credit Risk Scorecards" (Wiley, 2006).
"""

LEAST = 20
"""A profile of fewer values says nothing of a distribution."""

FLOOR = 1e-4
"""The least part that a cell counts as in the PSI, whose logarithm an empty one would make infinite."""


class ColumnDrift(msgspec.Struct, frozen=True, kw_only=True):
    """How far a column is from its reference, `count` values of it.

    `psi` is the population stability index over all cells, missing and others among them, and `chance` what
    it would be once in a thousand times if nothing had moved. `ks` is the largest distance between the two
    cumulative distributions, at the bins' edges (None for categories, which have no order). Missing values,
    and others in no known category, are parts of the values, before and now. `psi`, `chance`, `ks` and
    `level` are None while either side has under `LEAST` values.
    """

    column: str
    count: int
    psi: float | None = None
    chance: float | None = None
    ks: float | None = None
    missing_before: float
    missing_now: float
    others_before: float
    others_now: float
    level: Level | None = None


def compare(column: str, reference: Profile, now: Profile) -> ColumnDrift:
    """Raises ValueError unless both were counted in the same bins.

    A level is reached when the PSI reaches its bound and is more than chance. Source of the latter:
    Yurdakul, "Statistical Properties of Population Stability Index" (Western Michigan University, 2018): over
    1/n + 1/m it has a chi-squared distribution with a degree less than there are cells.
    """
    if reference.bins != now.bins:
        raise ValueError(f"{column!r} was counted in other bins than its reference")
    drift = ColumnDrift(
        column=column,
        count=now.count,
        missing_before=_part(reference.missing, reference),
        missing_now=_part(now.missing, now),
        others_before=_part(reference.others, reference),
        others_now=_part(now.others, now),
    )
    if min(reference.count, now.count) < LEAST:
        return drift
    before, after = np.array(reference.counts), np.array(now.counts)
    index, chance = psi(before, after), chance_psi(before, after)
    return msgspec.structs.replace(
        drift,
        psi=index,
        chance=chance,
        ks=ks(before[1:], after[1:]) if reference.bins.categories is None else None,
        level=level(index, chance),
    )


def psi(before: np.ndarray, now: np.ndarray) -> float:
    """The population stability index of two lists of counts: sum((p - q) * log(p / q)) of their parts."""
    p = np.maximum(now / now.sum(), FLOOR)
    q = np.maximum(before / before.sum(), FLOOR)
    return float(np.sum((p - q) * np.log(p / q)))


def chance_psi(before: np.ndarray, now: np.ndarray) -> float:
    """What the PSI of two samples of one distribution exceeds once in a thousand times."""
    degrees = max(1, int(np.count_nonzero(before + now)) - 1)
    return _chi_squared(degrees) * (1 / int(before.sum()) + 1 / int(now.sum()))


def ks(before: np.ndarray, now: np.ndarray) -> float | None:
    """The largest distance between two cumulative distributions; None where either is empty."""
    if not before.sum() or not now.sum():
        return None
    return float(np.abs(np.cumsum(before) / before.sum() - np.cumsum(now) / now.sum()).max())


def level(psi: float, chance: float) -> Level:
    if psi < max(MOVED, chance):
        return "stable"
    return "moved" if psi < DRIFTED else "drifted"


def _part(count: int, of: Profile) -> float:
    return count / of.count if of.count else 0.0


def _chi_squared(degrees: int) -> float:
    """Its 0.999 quantile, by Wilson and Hilferty's cube (1931): at most 3.1 % too large."""
    spread = 2 / (9 * degrees)
    return float(degrees * (1 - spread + 3.0902 * spread**0.5) ** 3)
