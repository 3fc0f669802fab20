"""How wrong scores are against outcomes: of numbers, of classes, and row by row for pairing."""

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


class NumberErrors(msgspec.Struct, frozen=True, kw_only=True):
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
        raise NotImplementedError

    def __add__(self, other: NumberSums) -> NumberSums:
        raise NotImplementedError

    @property
    def errors(self) -> NumberErrors | None:
        """None without rows."""
        raise NotImplementedError


class ReliabilityBin(msgspec.Struct, frozen=True, kw_only=True):
    """The rows whose probability lies from `low` to `high`: its mean, and the part in which it came true."""

    low: float
    high: float
    count: int
    predicted: float
    observed: float


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """Bins with rows in them, and the expected calibration error: the rows' mean of |predicted - observed|."""

    bins: tuple[ReliabilityBin, ...]
    error: float


class ClassErrors(msgspec.Struct, frozen=True, kw_only=True):
    """Of classes. Without probabilities there is only accuracy; where all outcomes are one class no AUC.

    `auc` of more than two classes is the mean of one against the rest.
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
    raise NotImplementedError


def probability_errors(probabilities: np.ndarray, outcomes: np.ndarray) -> ClassErrors | None:
    """`probabilities` are (rows, classes), or (rows,) of class 1 of two; `outcomes` are class numbers from 0.

    Calibration is of class 1 where there are two, else of the most probable class. None without rows.
    """
    raise NotImplementedError


def auc(scores: np.ndarray, outcomes: np.ndarray) -> float | None:
    """The chance that a row with a true outcome has a higher score than one with a false, ties counting half.

    None unless there are both.
    """
    raise NotImplementedError


def auc_of_counts(positives: np.ndarray, negatives: np.ndarray) -> float | None:
    """The same from how many rows of either outcome each distinct score (or bucket), ascending, has."""
    raise NotImplementedError


def calibration(probabilities: np.ndarray, hits: np.ndarray, bins: int = BINS) -> Calibration | None:
    """Of one probability a row and whether it came true; None without rows."""
    raise NotImplementedError


def calibration_of_sums(counts: np.ndarray, predicted: np.ndarray, hits: np.ndarray) -> Calibration | None:
    """The same from each bin's count, sum of probabilities and number of hits.

    Bin i of n holds the probabilities p with `least(floor(n * p), n - 1) = i`.
    """
    raise NotImplementedError


def losses(loss: Loss, scores: np.ndarray, outcomes: np.ndarray) -> np.ndarray:
    """Each row's. For LOG, scores are probabilities and outcomes numbers as in `probability_errors`."""
    raise NotImplementedError
