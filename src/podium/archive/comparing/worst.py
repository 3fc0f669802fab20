"""The rows on which two contenders differ most, with what came in and what really happened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from podium.archive.comparing.lake import Lake, column
from podium.archive.comparing.outputs import Output, What
from podium.archive.comparing.pairs import BOTH, KEY
from podium.archive.names import REQUESTS
from podium.trials.comparison import Disagreement

WORST = 10
"""Of each output."""


def worst(lake: Lake, outputs: Sequence[Output]) -> tuple[Disagreement, ...]:
    """Of numbers the largest differences, of classes those that are not the same, the newest first."""
    return tuple(found for output in outputs for found in _of(lake, output))


def _of(lake: Lake, output: Output) -> Iterator[Disagreement]:
    distance = output.distance()
    apart = f"{distance} > 0" if distance else f"{output.a} <> {output.b}"
    rows = lake.rows(f"""
        SELECT k, received, {output.a}, {output.b}, {distance or "NULL"} AS distance FROM pairs
        WHERE {BOTH} AND {output.both} AND {apart} ORDER BY distance DESC, received DESC, k LIMIT {WORST}
    """)
    came_in = _came_in(lake, [(k, received) for k, received, *_ in rows])
    outcomes = _outcomes(lake, output, [k for k, *_ in rows])
    for k, _, a, b, far in rows:
        id, row, inputs = came_in[k]
        yield Disagreement(
            id=id,
            row=row,
            output=output.name,
            inputs=inputs,
            a=a,
            b=b,
            distance=far,
            outcome=outcomes.get(k),
        )


def _came_in(lake: Lake, keys: Sequence[tuple[int, int]]) -> dict[int, tuple[str, int, dict[str, Any]]]:
    """Id, number of the row, and inputs of each key, which comes with the time of arrival."""
    if not keys:
        return {}
    names = [name for name in lake.columns(REQUESTS) if name.startswith("in_")]
    listed = ", ".join(str(k) for k, _ in keys)
    # The time is the cheaper look: most files and rows are left out by it before an id is read.
    times = ", ".join(f"make_timestamptz({received})" for _, received in keys)
    selected = "".join(f", {column(name)}" for name in names)
    found = lake.rows(
        f"SELECT {KEY}, id, row{selected} FROM requests WHERE received IN ({times}) AND {KEY} IN ({listed})"
    )
    inputs = [name.removeprefix("in_") for name in names]
    return {k: (id, row, dict(zip(inputs, values, strict=True))) for k, id, row, *values in found}


def _outcomes(lake: Lake, output: Output, keys: Sequence[int]) -> dict[int, Any]:
    listed = ", ".join(str(k) for k in keys) or "NULL"
    found = lake.rows(f"SELECT k, {output.t} FROM known WHERE {output.t} IS NOT NULL AND k IN ({listed})")
    if output.what is What.PROBABILITIES:
        return {k: output.classes[outcome - 1] for k, outcome in found}
    return dict(found)
