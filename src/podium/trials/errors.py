"""How wrong scores are against outcomes: of numbers, of classes, and row by row for pairing."""

from __future__ import annotations

import math
from enum import StrEnum

import msgspec
import numpy as np

BINS = 10
"""Of calibration: equal widths from 0 to 1."""

LEAST_PROBABILITY = float(np.finfo(float).eps)
"""What a class that was called impossible counts as in a log, as in scikit-learn: a loss of 36."""


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


class NumberSums(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of score - outcome, of its absolute value and of its square; added with `+`."""

    count: int
    difference: float = 0.0
    absolute: float = 0.0
    squared: float = 0.0

    @classmethod
    def of(cls, scores: np.ndarray, outcomes: np.ndarray) -> NumberSums:
        off = np.asarray(scores, float) - outcomes
        return cls(
            count=off.size,
            difference=float(off.sum()),
            absolute=float(np.abs(off).sum()),
            squared=float(np.square(off).sum()),
        )

    def __add__(self, other: NumberSums) -> NumberSums:
        return NumberSums(
            count=self.count + other.count,
            difference=self.difference + other.difference,
            absolute=self.absolute + other.absolute,
            squared=self.squared + other.squared,
        )

    @property
    def errors(self) -> NumberErrors | None:
        """None without rows."""
        if not self.count:
            return None
        return NumberErrors(
            count=self.count,
            mae=self.absolute / self.count,
            rmse=math.sqrt(self.squared / self.count),
            bias=self.difference / self.count,
        )


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


def number_errors(scores: np.ndarray, outcomes: np.ndarray) -> NumberErrors | None:
    """None without rows."""
    return NumberSums.of(scores, outcomes).errors


def label_errors(labels: np.ndarray, outcomes: np.ndarray) -> ClassErrors | None:
    """Of classes without probabilities; None without rows."""
    if not len(labels):
        return None
    return ClassErrors(count=len(labels), accuracy=1 - float(losses(Loss.WRONG, labels, outcomes).mean()))


def probability_errors(probabilities: np.ndarray, outcomes: np.ndarray) -> ClassErrors | None:
    """`probabilities` are (rows, classes), or (rows,) of class 1 of two; `outcomes` are class numbers from 0.

    Calibration is of class 1 where there are two, else of the most probable class. None without rows.
    """
    if not len(outcomes):
        return None
    wide = _wide(probabilities)
    likeliest = wide.argmax(axis=1)
    binary = wide.shape[1] == 2
    return ClassErrors(
        count=len(outcomes),
        accuracy=float((likeliest == outcomes).mean()),
        log_loss=float(losses(Loss.LOG, wide, outcomes).mean()),
        auc=_mean_auc(wide, outcomes),
        calibration=calibration(wide[:, 1], outcomes == 1)
        if binary
        else calibration(wide.max(axis=1), outcomes == likeliest),
    )


def auc(scores: np.ndarray, outcomes: np.ndarray) -> float | None:
    """The chance that a row with a true outcome has a higher score than one with a false, ties counting half.

    None unless there are both.
    """
    _, places = np.unique(scores, return_inverse=True)
    hits = np.asarray(outcomes, bool)
    return auc_of_counts(
        np.bincount(places[hits], minlength=places.max(initial=0) + 1),
        np.bincount(places[~hits], minlength=places.max(initial=0) + 1),
    )


def auc_of_counts(positives: np.ndarray, negatives: np.ndarray) -> float | None:
    """The same from how many rows of either outcome each distinct score (or bucket), ascending, has."""
    true, false = float(positives.sum()), float(negatives.sum())
    if not true or not false:
        return None
    below = np.cumsum(negatives, dtype=float) - negatives / 2
    return float(positives @ below) / true / false


def calibration(probabilities: np.ndarray, hits: np.ndarray, bins: int = BINS) -> Calibration | None:
    """Of one probability a row and whether it came true; None without rows."""
    places = np.clip(np.floor(np.asarray(probabilities) * bins), 0, bins - 1).astype(np.int64)
    return calibration_of_sums(
        np.bincount(places, minlength=bins),
        np.bincount(places, weights=probabilities, minlength=bins),
        np.bincount(places, weights=hits, minlength=bins),
    )


def calibration_of_sums(counts: np.ndarray, predicted: np.ndarray, hits: np.ndarray) -> Calibration | None:
    """The same from each bin's count, sum of probabilities and number of hits.

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


def losses(loss: Loss, scores: np.ndarray, outcomes: np.ndarray) -> np.ndarray:
    """Each row's. For LOG, scores are probabilities and outcomes numbers as in `probability_errors`."""
    found: np.ndarray
    match loss:
        case Loss.ABSOLUTE:
            found = np.abs(np.asarray(scores, float) - outcomes)
        case Loss.SQUARED:
            found = np.square(np.asarray(scores, float) - outcomes)
        case Loss.WRONG:
            found = np.asarray(np.asarray(scores) != np.asarray(outcomes), float)
        case Loss.LOG:
            wide = _wide(scores)
            given = wide[np.arange(len(wide)), np.asarray(outcomes, np.int64)]
            found = -np.log(np.clip(given, LEAST_PROBABILITY, 1))
    return found


def _wide(probabilities: np.ndarray) -> np.ndarray:
    values: np.ndarray = np.asarray(probabilities, float)
    return values if values.ndim == 2 else np.stack([1 - values, values], axis=1)


def _mean_auc(wide: np.ndarray, outcomes: np.ndarray) -> float | None:
    if wide.shape[1] == 2:
        return auc(wide[:, 1], outcomes == 1)
    each = [auc(wide[:, i], outcomes == i) for i in range(wide.shape[1])]
    known = [value for value in each if value is not None]
    return sum(known) / len(each) if len(known) == len(each) else None
