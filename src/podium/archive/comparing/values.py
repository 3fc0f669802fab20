"""What both said of each output: how it is distributed, how often it is the same, how far it is apart."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from podium.archive.comparing.lake import Lake
from podium.archive.comparing.outputs import Output, What, label_of
from podium.archive.comparing.pairs import BOTH
from podium.trials.agreement import Agreement, agreement
from podium.trials.comparison import Bar, Crossing, OutputComparison
from podium.trials.quantiles import PROBABILITIES, Point, Quantiles, quantiles

POINTS = (0.001, *PROBABILITIES, 0.999)
"""Of a Q–Q plot: the percentiles, and the tails."""

BARS = 30
EDGES = (0.005, 0.995)
"""The quantiles of the differences between which the bars are; what lies outside is in an open bar."""

CROSSINGS = 20
_SUMMARY = (0.5, 0.9, 0.95, 0.99)


def overall(lake: Lake, outputs: Sequence[Output], tolerance: float) -> Agreement:
    """The rows on which all outputs agree that both have; none where they share none."""
    shared = " OR ".join(output.both for output in outputs)
    all_agree = " AND ".join(f"coalesce({output.agrees(tolerance)}, true)" for output in outputs)
    rows, agreed = lake.row(
        f"SELECT count(*), count(*) FILTER (({shared}) AND {all_agree}) FROM pairs WHERE {BOTH}"
    )
    return agreement(rows, agreed, tolerance)


def compared(lake: Lake, output: Output, tolerance: float) -> OutputComparison | None:
    """An output of both, without its errors; None where none of the rows has it from both."""
    agreeing_rows = f"count(*) FILTER ({output.agrees(tolerance)})"
    rows, agreed = lake.row(f"SELECT count(*), {agreeing_rows} FROM pairs WHERE {BOTH} AND {output.both}")
    if not rows:
        return None
    agreeing = agreement(rows, agreed, tolerance)
    if output.what is not What.NUMBER:
        return OutputComparison(name=output.name, agreement=agreeing, crossings=_crossings(lake, output))
    a, b, apart = _distributions(lake, output)
    return OutputComparison(
        name=output.name,
        agreement=agreeing,
        a=_summary(rows, a),
        b=_summary(rows, b),
        points=tuple(Point(q=q, a=a[q], b=b[q]) for q in POINTS),
        differences=apart,
    )


# --- numbers --------------------------------------------------------------------------------


def _distributions(
    lake: Lake, output: Output
) -> tuple[dict[float, float], dict[float, float], tuple[Bar, ...]]:
    """Of a's and of b's scores at every point that is shown, and of their differences in bars."""
    wanted = sorted({*POINTS, *_SUMMARY})
    found = lake.arrays(f"SELECT {output.a} AS a, {output.b} AS b FROM pairs WHERE {BOTH} AND {output.both}")
    with ThreadPoolExecutor(2) as pool:  # numpy lets go of Python's lock
        a, b = (pool.submit(quantiles, found[side], wanted) for side in "ab")
        apart = pool.submit(_bars, found["a"], found["b"])
    return (
        dict(zip(wanted, a.result().tolist(), strict=True)),
        dict(zip(wanted, b.result().tolist(), strict=True)),
        apart.result(),
    )


def _summary(count: int, found: dict[float, float]) -> Quantiles:
    p50, p90, p95, p99 = (found[q] for q in _SUMMARY)
    return Quantiles(count=count, p50=p50, p90=p90, p95=p95, p99=p99)


def _bars(a: np.ndarray, b: np.ndarray) -> tuple[Bar, ...]:
    """How b - a is distributed: bars of one width, and what lies outside of them."""
    apart = np.subtract(b, a, dtype=float)
    low, high = quantiles(apart, EDGES).tolist()
    bars = BARS if low < high else 1  # where nearly all differences are the same, one bar is that value
    width = (high - low) / bars
    edges = [*(low + width * number for number in range(bars)), high]
    below, above = apart < low, apart > high
    inside = apart[(apart >= low) & (apart <= high)]
    places = np.minimum((inside - low) / (width or 1.0), bars - 1).astype(np.int32)
    counts = [below.sum(), *np.bincount(places, minlength=bars), above.sum()]
    return tuple(
        Bar(low=low, high=high, count=int(count))
        for low, high, count in zip([None, *edges], [*edges, None], counts, strict=True)
    )


# --- classes --------------------------------------------------------------------------------


def _crossings(lake: Lake, output: Output) -> tuple[Crossing, ...]:
    match output.what:
        case What.LABEL:
            a, b = (f"CAST({value} AS VARCHAR)" for value in (output.a, output.b))
        case What.PROBABILITIES:
            a, b = (f"CAST({label_of(value)} AS VARCHAR)" for value in (output.a, output.b))
        case _:
            return ()
    found = lake.rows(f"""
        SELECT {a} AS x, {b} AS y, count(*) AS n FROM pairs WHERE {BOTH} AND {output.both} AND {a} <> {b}
        GROUP BY ALL ORDER BY n DESC, x, y LIMIT {CROSSINGS}
    """)
    return tuple(Crossing(a=_class(output, x), b=_class(output, y), count=n) for x, y, n in found)


def _class(output: Output, said: str) -> str:
    if output.what is not What.PROBABILITIES:
        return said
    number = int(said) - 1
    return output.classes[number] if number < len(output.classes) else said
