"""Has a column moved? What it is now against what it was, from the profiles of both."""

from __future__ import annotations

from typing import Literal

import msgspec

from podium.profiles import Profile

MOVED = 0.1
DRIFTED = 0.25
"""The rule of thumb for the PSI: under 0.1 stable, from 0.25 on drifted.

Source: Siddiqi, "Credit Risk Scorecards" (Wiley, 2006); its critics (Yurdakul, "Statistical properties of
population stability index", 2018) note that the PSI of small samples is large by chance.
"""


class ColumnDrift(msgspec.Struct, frozen=True, kw_only=True):
    """How far a column is from its reference.

    `psi` is the population stability index, `ks` the largest distance between the two cumulative
    distributions at the bins' edges (None for categories, which have no order). `missing` and `others`
    (values in no known category) are parts of the rows, then and now. `level` is None while either side has
    too few rows.
    """

    column: str
    count: int
    psi: float | None
    ks: float | None
    missing_before: float
    missing_now: float
    others_before: float
    others_now: float
    level: Literal["stable", "moved", "drifted"] | None


def compare(column: str, reference: Profile, now: Profile) -> ColumnDrift:
    """Raises ValueError unless both were counted in the same bins."""
    raise NotImplementedError
