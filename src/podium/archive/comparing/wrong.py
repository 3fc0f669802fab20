"""How wrong both are against what really happened, overall and in segments of the inputs.

Everything is asked of the table `judged`: the pairs with an outcome of something that both said, with their
inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from podium.archive.comparing.inputs import NUMBERS, scalars
from podium.archive.comparing.lake import Lake, column, text
from podium.archive.comparing.outputs import SMALLEST, Output, What, label_of
from podium.archive.comparing.pairs import BOTH
from podium.archive.names import REQUESTS
from podium.trials.comparison import ErrorComparison, Segment, paired
from podium.trials.errors import (
    BINS,
    Calibration,
    ClassErrors,
    Loss,
    NumberErrors,
    auc_of_counts,
    calibration_of_sums,
)
from podium.trials.sequential import PairMoments

PARTS = 5
"""Segments of a number: as many rows in each."""

VALUES = 8
"""Segments of anything else: the most frequent values, and one for all others."""

OTHERS = "all others"
MISSING = "missing"


def judge(lake: Lake, outputs: Sequence[Output]) -> tuple[Output, ...]:
    """Make the table `judged`, as yet without inputs; returns the outputs of which it has outcomes."""
    some = " OR ".join(_has_outcome(output) for output in outputs) or "false"
    lake.do(f"CREATE TEMP TABLE judged AS SELECT * FROM pairs JOIN known USING (k) WHERE {BOTH} AND ({some})")
    counted = [f", count(*) FILTER ({_has_outcome(output)})" for output in outputs]
    _, *counts = lake.row(f"SELECT count(*){''.join(counted)} FROM judged")
    return tuple(output for output, count in zip(outputs, counts, strict=True) if count)


# --- overall --------------------------------------------------------------------------------


def errors(lake: Lake, output: Output) -> ErrorComparison:
    judged, *others = (paired(loss, _moments(lake, output, loss, "true")) for loss in _losses(output))
    wrong = _numbers if output.what is What.NUMBER else _classes
    return ErrorComparison(
        outcomes=judged.pair.count,
        a=wrong(lake, output, output.a),
        b=wrong(lake, output, output.b),
        judged=judged,
        others=tuple(others),
    )


def _losses(output: Output) -> tuple[Loss, ...]:
    """The one that gates look at, and those that are shown."""
    match output.what:
        case What.NUMBER:
            return Loss.ABSOLUTE, Loss.SQUARED
        case What.PROBABILITIES:
            return Loss.WRONG, Loss.LOG
        case _:
            return (Loss.WRONG,)


def _moments(lake: Lake, output: Output, loss: Loss, where: str) -> PairMoments:
    ((_, pair),) = _moments_by(lake, output, loss, "0", where)
    return pair


def _moments_by(
    lake: Lake, output: Output, loss: Loss, by: str, where: str = "true"
) -> list[tuple[int, PairMoments]]:
    a, b = _cost(output, loss, output.a), _cost(output, loss, output.b)
    found = lake.rows(f"""
        SELECT g, count(*), avg(x), avg(y), var_pop(x), var_pop(y), covar_pop(x, y)
        FROM (SELECT {by} AS g, {a} AS x, {b} AS y FROM judged WHERE {_has_outcome(output)} AND {where})
        GROUP BY g ORDER BY g
    """)
    return [
        (
            group,
            PairMoments(
                count=count,
                mean_a=mean_a,
                mean_b=mean_b,
                variance_a=var_a,
                variance_b=var_b,
                covariance=covar,
            ),
        )
        for group, count, mean_a, mean_b, var_a, var_b, covar in found
    ]


def _has_outcome(output: Output) -> str:
    return f"{output.both} AND {output.t} IS NOT NULL"


def _cost(output: Output, loss: Loss, value: str) -> str:
    """What a row costs, as `podium.trials.errors.Loss` has it."""
    match loss:
        case Loss.ABSOLUTE:
            return f"abs({value} - {output.t})"
        case Loss.SQUARED:
            return f"({value} - {output.t}) ** 2"
        case Loss.LOG:
            return f"-ln(least(greatest({value}[{output.t}], {SMALLEST!r}), {1 - SMALLEST!r}))"
    said = label_of(value) if output.what is What.PROBABILITIES else value
    return f"CAST({said} <> {output.t} AS DOUBLE)"


def _numbers(lake: Lake, output: Output, value: str) -> NumberErrors:
    d = f"({value} - {output.t})"
    count, mae, rmse, bias = lake.row(
        f"SELECT count(*), avg(abs({d})), sqrt(avg({d} ** 2)), avg({d}) "
        f"FROM judged WHERE {_has_outcome(output)}"
    )
    return NumberErrors(count=count, mae=mae, rmse=rmse, bias=bias)


def _classes(lake: Lake, output: Output, value: str) -> ClassErrors:
    costs = [f"avg({_cost(output, loss, value)})" for loss in _losses(output)]
    count, wrong, *log = lake.row(
        f"SELECT count(*), {', '.join(costs)} FROM judged WHERE {_has_outcome(output)}"
    )
    probabilities = output.what is What.PROBABILITIES
    return ClassErrors(
        count=count,
        accuracy=1 - wrong,
        log_loss=log[0] if log else None,
        auc=_auc(lake, output, value) if probabilities else None,
        calibration=_calibration(lake, output, value) if probabilities else None,
    )


def _auc(lake: Lake, output: Output, value: str) -> float | None:
    """Of the second class of two; of more the mean of each against the rest."""
    each = [2] if len(output.classes) == 2 else range(1, len(output.classes) + 1)
    areas = [_auc_of(lake, output, value, number) for number in each]
    known = [area for area in areas if area is not None]
    return sum(known) / len(known) if len(known) == len(areas) else None


def _auc_of(lake: Lake, output: Output, value: str, number: int) -> float | None:
    found = lake.arrays(f"""
        SELECT count(*) FILTER ({output.t} = {number}) AS positive,
            count(*) FILTER ({output.t} <> {number}) AS negative
        FROM judged WHERE {_has_outcome(output)} GROUP BY {value}[{number}] ORDER BY {value}[{number}]
    """)
    return auc_of_counts(found["positive"], found["negative"])


def _calibration(lake: Lake, output: Output, value: str) -> Calibration | None:
    """Of the second class of two; of more of the most probable one."""
    if len(output.classes) == 2:
        probability, hit = f"{value}[2]", f"{output.t} = 2"
    else:
        probability, hit = f"list_max({value})", f"{label_of(value)} = {output.t}"
    found = lake.rows(f"""
        SELECT CAST(least(floor({BINS} * p), {BINS - 1}) AS INTEGER) AS bin,
            count(*), sum(p), count(*) FILTER (hit)
        FROM (SELECT {probability} AS p, {hit} AS hit FROM judged WHERE {_has_outcome(output)}) GROUP BY bin
    """)
    counts, predicted, hits = np.zeros(BINS, np.int64), np.zeros(BINS), np.zeros(BINS, np.int64)
    for number, count, total, came_true in found:
        counts[number], predicted[number], hits[number] = count, total, came_true
    return calibration_of_sums(counts, predicted, hits)


# --- segments -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """An input's segments: the number of a row's one in SQL, and each one in words."""

    number: str
    words: tuple[str, ...]


def segments(lake: Lake, outputs: Sequence[Output]) -> Iterator[Segment]:
    """By each input that has one value in a row."""
    kinds = lake.columns(REQUESTS)
    for name in scalars(lake):
        parts = _of_number(lake, name) if kinds[name] in NUMBERS else _of_values(lake, name)
        for output in outputs:
            yield from _segments(lake, name.removeprefix("in_"), parts, output)


def _segments(lake: Lake, name: str, parts: _Parts, output: Output) -> Iterator[Segment]:
    loss = _losses(output)[0]
    for number, pair in _moments_by(lake, output, loss, parts.number):
        yield Segment(input=name, values=parts.words[number], output=output.name, judged=paired(loss, pair))


def _of_number(lake: Lake, name: str) -> _Parts:
    """As many rows in each, where the values allow it; a few different values are a segment each."""
    value = column(name)
    there = f"FROM judged WHERE NOT ({_missing(value)})"
    values = [
        found for (found,) in lake.rows(f"SELECT DISTINCT {value} {there} ORDER BY 1 LIMIT {VALUES + 1}")
    ]
    if len(values) <= VALUES:
        return _each(value, [(repr(found), _number(found)) for found in values], missing=_missing(value))
    wanted = [round(i / PARTS, 4) for i in range(1, PARTS)]
    (found,) = lake.row(f"SELECT quantile_disc({value}, {wanted}) {there}")
    edges = sorted(set(found))
    cases = "".join(f" WHEN {value} <= {edge!r} THEN {i}" for i, edge in enumerate(edges))
    return _Parts(
        number=f"CASE WHEN {_missing(value)} THEN {len(edges) + 1}{cases} ELSE {len(edges)} END",
        words=(*_ranges([_number(edge) for edge in edges]), MISSING),
    )


def _ranges(edges: Sequence[str]) -> Iterator[str]:
    yield f"up to {edges[0]}"
    yield from (f"over {low}, up to {high}" for low, high in pairwise(edges))
    yield f"over {edges[-1]}"


def _of_values(lake: Lake, name: str) -> _Parts:
    value = f"CAST({column(name)} AS VARCHAR)"
    found = lake.rows(f"""
        SELECT {value} AS v, count(*) AS n FROM judged WHERE v IS NOT NULL
        GROUP BY v ORDER BY n DESC, v LIMIT {VALUES}
    """)
    return _each(value, [(text(said), said) for said, _ in found], missing=f"{value} IS NULL")


def _each(value: str, values: Sequence[tuple[str, str]], *, missing: str) -> _Parts:
    """A segment for each of these values (in SQL and in words), one for all others, one for none."""
    cases = "".join(f" WHEN {value} = {sql} THEN {i}" for i, (sql, _) in enumerate(values))
    return _Parts(
        number=f"CASE WHEN {missing} THEN {len(values) + 1}{cases} ELSE {len(values)} END",
        words=(*(words for _, words in values), OTHERS, MISSING),
    )


def _missing(number: str) -> str:
    return f"{number} IS NULL OR isnan(CAST({number} AS DOUBLE))"


def _number(value: float) -> str:
    return f"{value:.4g}"
