"""Comparisons for tests: what two contenders were found to do."""

from __future__ import annotations

import numpy as np

from podium.trials.agreement import agreement
from podium.trials.comparison import (
    Comparison,
    ErrorComparison,
    Latency,
    OutputComparison,
    Segment,
    Side,
    paired,
)
from podium.trials.errors import Loss, NumberErrors
from podium.trials.quantiles import Quantiles, summary
from podium.trials.sequential import PairMoments


def side(model: str, ms: np.ndarray) -> Side:
    latency = Latency(queue=Quantiles(count=0), compute=Quantiles(count=0), total=summary(ms))
    return Side(model=model, version="9f2c1ab04d5e", scored=len(ms), late=0, errors=0, latency=latency)


def moments(worse: float, count: int = 10_000, *, noise: float = 0.1, seed: int = 1) -> PairMoments:
    """Of absolute errors with mean about 1, of which b's are so much larger, but for noise around that."""
    chance = np.random.default_rng(seed)
    a = chance.exponential(size=count)
    return PairMoments.of(a, (1 + worse) * a * (1 + noise * chance.uniform(-1, 1, count)))


def segment(worse: float, count: int = 10_000, *, values: str = "low") -> Segment:
    return Segment(
        input="bmi", values=values, output="y", judged=paired(Loss.ABSOLUTE, moments(worse, count))
    )


def comparison(
    *,
    common: int = 10_000,
    pair: PairMoments | None = None,
    loss: Loss = Loss.ABSOLUTE,
    segments: tuple[Segment, ...] = (),
    ms: np.ndarray | None = None,
) -> Comparison:
    a, b = side("linear", np.ones(10)), side("forest", np.arange(1.0, 101.0) if ms is None else ms)
    zeros = NumberErrors(count=1, mae=0.0, rmse=0.0, bias=0.0)
    errors = None
    if pair:
        errors = ErrorComparison(outcomes=pair.count, a=zeros, b=zeros, judged=paired(loss, pair))
    same = agreement(common, common, 0.05)
    return Comparison(
        endpoint="diabetes",
        since=0,
        until=1,
        a=a,
        b=b,
        common=common,
        rows=common,
        agreement=same,
        outputs=(OutputComparison(name="y", agreement=same, errors=errors),),
        segments=segments,
    )
