"""How wrong scores are against outcomes: of numbers and of classes."""

from __future__ import annotations

from enum import StrEnum

import msgspec
import numpy as np

BINS = 10
"""Of calibration: equal widths from 0 to 1."""


class Loss(StrEnum):
    """What a row costs."""

    ABSOLUTE = "absolute"
    """|score - outcome|; its mean is the MAE."""
    SQUARED = "squared"
    """(score - outcome)**2; the root of its mean is the RMSE."""
    WRONG = "wrong"
    """1 for a wrong class, else 0; its mean is 1 - accuracy."""
    LOG = "log"
    """-log of the probability that the true class was given."""


class NumberErrors(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="numbers"):
    """Of numbers. `bias` is the mean of score - outcome."""

    count: int
    mae: float
    rmse: float
    bias: float


class ReliabilityBin(msgspec.Struct, frozen=True, kw_only=True):
    """The rows whose probability lies from `low` to `high`: its mean, and the part in which it came true."""

    low: float
    high: float
    count: int
    predicted: float
    observed: float


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """Bins with rows in them, and the expected calibration error: mean |predicted - observed| of rows."""

    bins: tuple[ReliabilityBin, ...]
    error: float


class ClassErrors(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="classes"):
    """Of classes. Without probabilities there is only accuracy; where all outcomes are one class no AUC.

    `auc` of more than two classes is the mean of each against the rest, None unless each occurs.
    """

    count: int
    accuracy: float
    log_loss: float | None = None
    auc: float | None = None
    calibration: Calibration | None = None


def auc_of_counts(positives: np.ndarray, negatives: np.ndarray) -> float | None:
    """The chance that a row with a true outcome has a higher score than one with a false, ties counting half.

    From how many rows of either outcome each distinct score (or bucket), ascending, has. None unless there
    are both.
    """
    true, false = float(positives.sum()), float(negatives.sum())
    if not true or not false:
        return None
    below = np.cumsum(negatives, dtype=float) - negatives / 2
    return float(positives @ below) / true / false


def calibration_of_sums(counts: np.ndarray, predicted: np.ndarray, hits: np.ndarray) -> Calibration | None:
    """From each bin's count, sum of probabilities and number of hits; None without rows.

    Bin i of n holds the probabilities p with `least(floor(n * p), n - 1) = i`.
    """
    total = int(counts.sum())
    if not total:
        return None
    bins = tuple(
        ReliabilityBin(
            low=i / len(counts),
            high=(i + 1) / len(counts),
            count=int(counts[i]),
            predicted=float(predicted[i] / counts[i]),
            observed=float(hits[i] / counts[i]),
        )
        for i in np.flatnonzero(counts).tolist()
    )
    return Calibration(bins=bins, error=float(np.abs(predicted - hits).sum()) / total)
