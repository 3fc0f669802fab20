"""What a comparison of two contenders found: the records that `podium compare --json` prints and gates judge.

`a` is the one compared with (as a rule the champion), `b` the one in question. Differences are b - a. Times
are µs since the epoch, latencies ms. What needs outcomes is None, or empty, where there are none.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from podium.trials.agreement import Agreement
from podium.trials.drift import ColumnDrift
from podium.trials.errors import ClassErrors, Loss, NumberErrors
from podium.trials.quantiles import Point, Quantiles
from podium.trials.sequential import (
    CONFIDENCE,
    Interval,
    PairMoments,
    counts_below,
    counts_interval,
    mean_interval,
)

Verdict = Literal["better", "worse", "undecided"]


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """From a frame's sending to its scoring, the prediction, and both together."""

    queue: Quantiles
    compute: Quantiles
    total: Quantiles


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two, with its requests of the period: scored in time, scored late, failed."""

    model: str
    version: str
    number: int = 0
    role: str = ""
    replayed: bool = False
    scored: int
    late: int
    errors: int
    latency: Latency

    @property
    def name(self) -> str:
        return f"{self.model}@{self.version}"


class PairedLoss(msgspec.Struct, frozen=True, kw_only=True):
    """The mean loss of either on the same rows, and the difference with its confidence sequence.

    `relative` is b / a - 1, None where a is never wrong. `interval` is of the difference, None while there
    are too few rows. `verdict` says what that shows of b.
    """

    loss: Loss
    pair: PairMoments
    difference: float
    relative: float | None
    confidence: float
    interval: Interval | None
    verdict: Verdict


class ErrorComparison(msgspec.Struct, frozen=True, kw_only=True):
    """An output against its outcomes, on the rows that both have scored.

    `judged` is the loss that gates look at: ABSOLUTE of numbers, WRONG of classes; `others` are shown.
    """

    outcomes: int
    a: NumberErrors | ClassErrors
    b: NumberErrors | ClassErrors
    judged: PairedLoss
    others: tuple[PairedLoss, ...] = ()


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows have a difference from `low` up to `high`; the first and last bars have an open end."""

    low: float | None
    high: float | None
    count: int


class Crossing(msgspec.Struct, frozen=True, kw_only=True):
    """How often a said one class and b the other."""

    a: str
    b: str
    count: int


class OutputComparison(msgspec.Struct, frozen=True, kw_only=True):
    """One output: how often both say the same, how it is distributed (numbers only), how wrong it is.

    `differences` are those of numbers, `crossings` the most frequent classes on which they are not agreed.
    """

    name: str
    agreement: Agreement
    a: Quantiles | None = None
    b: Quantiles | None = None
    points: tuple[Point, ...] = ()
    differences: tuple[Bar, ...] = ()
    crossings: tuple[Crossing, ...] = ()
    errors: ErrorComparison | None = None


class Disagreement(msgspec.Struct, frozen=True, kw_only=True):
    """A row on which the two differ much. `distance` is |a - b| of a number, None of a class."""

    id: str
    row: int
    output: str
    inputs: dict[str, Any]
    a: Any
    b: Any
    distance: float | None = None
    outcome: Any = None


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """The rows with an outcome in which `input` is as `values` says in words."""

    input: str
    values: str
    output: str
    judged: PairedLoss

    @property
    def outcomes(self) -> int:
        return self.judged.pair.count


class CanaryDrift(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the inputs moved: what the canary, always the same model, said then and now.

    `reference` says in words what "then" is. `inputs` are drifts of the inputs themselves.
    """

    model: str
    version: str
    reference: str
    scores: tuple[ColumnDrift, ...]
    inputs: tuple[ColumnDrift, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.model}@{self.version}"


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two contenders over one period.

    `common` is the requests that both have scored, `rows` their rows; `only_a` and `only_b` are the requests
    that one of them has scored, and not the other.
    """

    endpoint: str
    since: int
    until: int
    a: Side
    b: Side
    common: int
    rows: int
    only_a: int = 0
    only_b: int = 0
    agreement: Agreement
    outputs: tuple[OutputComparison, ...]
    worst: tuple[Disagreement, ...] = ()
    segments: tuple[Segment, ...] = ()
    canary: CanaryDrift | None = None


def paired(loss: Loss, pair: PairMoments, confidence: float = CONFIDENCE) -> PairedLoss:
    """What these moments show."""
    interval = difference_interval(loss, pair, confidence)
    verdict: Verdict = "undecided"
    if interval and interval.high < 0:
        verdict = "better"
    elif interval and interval.low > 0:
        verdict = "worse"
    return PairedLoss(
        loss=loss,
        pair=pair,
        difference=pair.mean_b - pair.mean_a,
        relative=pair.mean_b / pair.mean_a - 1 if pair.mean_a else None,
        confidence=confidence,
        interval=interval,
        verdict=verdict,
    )


def difference_interval(
    loss: Loss, pair: PairMoments, confidence: float = CONFIDENCE, *, k: float = 1.0
) -> Interval | None:
    """The confidence sequence of the mean of `b - k * a`; None while there are too few rows.

    It is exact where the loss is 0 or 1 (`counts_interval`), else by the central limit theorem
    (`mean_interval`).
    """
    if not pair.count:
        return None
    if loss is Loss.WRONG:
        return counts_interval(pair.difference_counts(k), confidence)
    return mean_interval(pair.difference(k), confidence)


def relative_bound(
    loss: Loss, pair: PairMoments, confidence: float = CONFIDENCE, *, asked: float = 0.0
) -> float | None:
    """The part by which b's error may still be larger than a's: the least above which it is excluded.

    At most `asked` exactly where the confidence sequence of `b - (1 + asked) * a` shows that b's error is
    no larger than that. None while nothing can be excluded.
    """

    def is_excluded(k: float) -> bool:
        if loss is Loss.WRONG:
            return counts_below(pair.difference_counts(k), 0.0, confidence)
        interval = mean_interval(pair.difference(k), confidence)
        return interval is not None and interval.high <= 0

    least, most = 0.0, 1 + asked
    while not is_excluded(most):
        least, most = most, 2 * most
        if most > _LARGEST_RATIO:
            return None
    while most - least > _PRECISION:
        middle = (least + most) / 2
        least, most = (least, middle) if is_excluded(middle) else (middle, most)
    return most - 1


_LARGEST_RATIO = 1000.0
_PRECISION = 1e-6
