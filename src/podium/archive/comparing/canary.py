"""Have the inputs moved within the period? What the canary, always the same model, said first and last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from podium.archive.comparing.contenders import Archived
from podium.archive.comparing.lake import Lake, column, text
from podium.archive.comparing.outputs import Output, What, label_of
from podium.archive.comparing.pairs import KEY
from podium.archive.names import REQUESTS
from podium.period import moment_of, shown
from podium.profiles import Profile
from podium.trials.comparison import CanaryDrift
from podium.trials.drift import ColumnDrift, compare

SAMPLE = 200_000
"""About so many rows are looked at, the same ones each time: enough to see a PSI of 0.001."""

_COLUMNS = ("DOUBLE", "BIGINT", "BOOLEAN", "VARCHAR")


def drift(lake: Lake, canary: Archived, outputs: Sequence[Output]) -> CanaryDrift | None:
    """The period's second half of requests against its first; None where the canary has no score in it."""
    (middle,) = lake.row("SELECT quantile_disc(received, 0.5) FROM asked")
    scores = dict(_scores(lake, canary, outputs, middle))
    if not scores:
        return None
    return CanaryDrift(
        model=canary.model,
        version=canary.version,
        reference=f"the first half of the period's requests, up to {shown(moment_of(middle))}",
        scores=tuple(scores.values()),
        inputs=tuple(_inputs(lake, middle)),
    )


def _scores(
    lake: Lake, canary: Archived, outputs: Sequence[Output], middle: int
) -> Iterator[tuple[str, ColumnDrift]]:
    values = {output.name: _value(output) for output in outputs if output.what is not What.TENSOR}
    who = f"model = {text(canary.model)} AND version = {text(canary.version)} AND status <> 'error'"
    yield from _halves(lake, f"scores WHERE {who}", values, middle)


def _value(output: Output) -> str:
    return f"CAST({label_of(output.scores)} AS VARCHAR)" if output.classes else output.scores


def _inputs(lake: Lake, middle: int) -> Iterator[ColumnDrift]:
    there = lake.columns(REQUESTS)
    names = [name for name in there if name.startswith("in_") and there[name] in _COLUMNS]
    values = {name.removeprefix("in_"): column(name) for name in names}
    for _, found in _halves(lake, "requests WHERE true", values, middle):
        yield found


def _halves(
    lake: Lake, source: str, values: Mapping[str, str], middle: int
) -> Iterator[tuple[str, ColumnDrift]]:
    """The drift of each of these values, where both halves have rows with some."""
    if not values:
        return
    (asked,) = lake.row("SELECT count(*) FROM asked")
    selected = ", ".join(f"{sql} AS v{number}" for number, sql in enumerate(values.values()))
    found = lake.arrays(f"""
        SELECT received <= {middle} AS before, s.* EXCLUDE (k) FROM asked JOIN (
            SELECT {KEY} AS k, {selected} FROM {source} AND {KEY} % {max(1, asked // SAMPLE)} = 0
        ) s USING (k)
    """)
    before = found["before"].astype(bool)
    for number, name in enumerate(values):
        column = found[f"v{number}"]
        if before.any() and not before.all() and _some(column[before]):
            yield name, _compared(name, column[before], column[~before])


def _some(values: np.ndarray) -> bool:
    return values.dtype.kind == "O" or not np.isnan(values.astype(float)).all()


def _compared(name: str, before: np.ndarray, now: np.ndarray) -> ColumnDrift:
    reference = Profile.of(before)
    return compare(name, reference, Profile.counted(reference.bins, now))
