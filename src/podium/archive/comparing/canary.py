"""Have the inputs moved within the period? What the canary, always the same model, said first and last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from podium.archive.comparing.contenders import Archived
from podium.archive.comparing.inputs import scalars
from podium.archive.comparing.lake import Lake, column
from podium.archive.comparing.outputs import Output, What, label_of
from podium.archive.comparing.pairs import NUMBERS, Asked
from podium.period import moment_of, shown
from podium.profiles import Profile
from podium.trials.comparison import CanaryDrift
from podium.trials.drift import ColumnDrift, compare


def drift(
    lake: Lake, canary: Archived, side: str, outputs: Sequence[Output], asked: Asked
) -> CanaryDrift | None:
    """The period's second half of requests against its first; None where the canary has no score in it.

    `side` is the canary's in the table `said`; inputs are those of `sampled`.
    """
    (middle,) = lake.row("SELECT quantile_disc(received, 0.5) FROM asked")
    values = {output.name: _value(output) for output in outputs if output.what is not What.TENSOR}
    said = f"asked JOIN said USING (k) WHERE side = {NUMBERS[side]} AND s < 2 AND {asked.is_sampled('k')}"
    scores = tuple(_halves(lake, said, values, f"received <= {middle}"))
    if not scores:
        return None
    inputs = {name.removeprefix("in_"): column(name) for name in scalars(lake)}
    return CanaryDrift(
        model=canary.model,
        version=canary.version,
        reference=f"the first half of the period's requests, up to {shown(moment_of(middle))}",
        scores=scores,
        inputs=tuple(_halves(lake, "sampled", inputs, f"came <= {middle}")),
    )


def _value(output: Output) -> str:
    value = f"o{output.number}"
    return f"CAST({label_of(value)} AS VARCHAR)" if output.classes else value


def _halves(lake: Lake, source: str, values: Mapping[str, str], is_before: str) -> Iterator[ColumnDrift]:
    """The drift of each of these values, where both halves have rows with some."""
    if not values:
        return
    selected = ", ".join(f"{sql} AS v{number}" for number, sql in enumerate(values.values()))
    found = lake.arrays(f"SELECT {is_before} AS before, {selected} FROM {source}")
    before = found["before"].astype(bool)
    for number, name in enumerate(values):
        then, now = found[f"v{number}"][before], found[f"v{number}"][~before]
        if _some(then) and _some(now):
            reference = Profile.of(then)
            yield compare(name, reference, Profile.counted(reference.bins, now))


def _some(values: np.ndarray) -> bool:
    return bool(values.size) and (values.dtype.kind == "O" or not np.isnan(values.astype(float)).all())
