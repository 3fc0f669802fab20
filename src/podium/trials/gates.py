"""Gates: rules on a comparison that must hold before a contender is promoted."""

from __future__ import annotations

from typing import Literal

import msgspec

from podium.records import Gates
from podium.trials.comparison import Comparison

SMALLEST_SEGMENT = 100
"""A segment with fewer outcomes shows nothing, and is not judged."""


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """One gate: what was measured against its bound, and in words by how much it fails.

    `short` is what is missing to pass, in the unit of `bound` (requests, ms, parts of the champion's
    error); 0 where the gate passed, None where nothing could be measured, as `measured` then is.
    """

    gate: Literal["requests", "error", "segment", "p99"]
    passed: bool
    measured: float | None
    bound: float
    short: float | None
    words: str


def check(gates: Gates, comparison: Comparison) -> tuple[GateResult, ...]:
    """A result for each gate that is set, in their order."""
    raise NotImplementedError
