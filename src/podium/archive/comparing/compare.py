"""The whole comparison, from the top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from podium.archive.comparing import canary, values, worst, wrong
from podium.archive.comparing.contenders import Archived, Numbers, archived, two
from podium.archive.comparing.contenders import canary as canary_of
from podium.archive.comparing.inputs import add_inputs
from podium.archive.comparing.lake import Lake
from podium.archive.comparing.outputs import Classes, Output, outputs_of
from podium.archive.comparing.pairs import BOTH, CANARY, Asked, ask, pair
from podium.archive.names import SCORES
from podium.errors import ArchiveError
from podium.period import Period
from podium.trials.comparison import CanaryDrift, Comparison, Latency, OutputComparison, Side
from podium.trials.quantiles import Histogram, Quantiles, summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a question is about: the requests, the two contenders, and everybody else in the archive."""

    period: Period | None
    asked: Asked
    a: Archived
    b: Archived
    known: tuple[Archived, ...]


def find(lake: Lake, a: str, b: str, *, numbers: Numbers, period: Period | None) -> Found:
    """Raises ArchiveError for a period without requests, and for words that mean nobody or twice the same."""
    asked = ask(lake, period)
    known = archived(lake, numbers)
    first, second = two(known, a, b)
    return Found(period=period, asked=asked, a=first, b=second, known=known)


def compare(lake: Lake, endpoint: str, found: Found, *, tolerance: float, classes: Classes) -> Comparison:
    """What both said of the requests. Raises ArchiveError where they have no row in common."""
    asked = found.asked
    outputs = outputs_of(lake.columns(SCORES), classes)
    reference = canary_of(found.known)
    sides = {"a": found.a, "b": found.b}
    if reference and reference not in sides.values():
        sides[CANARY] = reference
    pair(lake, sides, outputs, asked=asked, period=found.period)
    requests, rows = lake.row(f"SELECT count(*) FILTER (first), count(*) FROM pairs WHERE {BOTH}")
    if not rows:
        raise ArchiveError(_nothing_in_common(lake, found))
    common = {output: one for output in outputs if (one := values.compared(lake, output, tolerance))}
    judged = wrong.judge(lake, tuple(common))
    if judged or reference:
        add_inputs(lake, asked)
    return Comparison(
        endpoint=endpoint,
        since=asked.since,
        until=asked.until,
        a=_side(lake, "a", found.a),
        b=_side(lake, "b", found.b),
        common=requests,
        rows=rows,
        only_a=_only(lake, "a", "b"),
        only_b=_only(lake, "b", "a"),
        agreement=values.overall(lake, outputs, tolerance),
        outputs=tuple(_with_errors(lake, output, one, judged) for output, one in common.items()),
        worst=worst.worst(lake, tuple(common)),
        segments=tuple(wrong.segments(lake, judged)) if judged else (),
        canary=_drift(lake, sides, reference, outputs, asked) if reference else None,
    )


def _drift(
    lake: Lake, sides: Mapping[str, Archived], reference: Archived, outputs: Sequence[Output], asked: Asked
) -> CanaryDrift | None:
    (side,) = (side for side, who in sides.items() if who == reference)
    return canary.drift(lake, reference, side, outputs, asked)


def _with_errors(
    lake: Lake, output: Output, one: OutputComparison, judged: Sequence[Output]
) -> OutputComparison:
    return msgspec.structs.replace(one, errors=wrong.errors(lake, output)) if output in judged else one


def _nothing_in_common(lake: Lake, found: Found) -> str:
    a, b = (lake.row(f"SELECT count(*) FROM pairs WHERE s{side} < 2")[0] for side in "ab")
    return (
        f"of this period {found.a.name} has scored {a:,} rows and {found.b.name} {b:,}, none of them the "
        "same: take a period in which both were live, or `podium replay` it through one of them"
    )


# --- of one side ----------------------------------------------------------------------------


def _side(lake: Lake, side: str, who: Archived) -> Side:
    counts = [f"count(*) FILTER (s{side} = {status})" for status in (0, 1, 2)]
    scored, late, errors = lake.row(f"SELECT {', '.join(counts)} FROM pairs WHERE first")
    return Side(
        model=who.model,
        version=who.version,
        number=who.number,
        role=who.role,
        replayed=who.replayed,
        scored=scored,
        late=late,
        errors=errors,
        latency=Latency(
            queue=_quantiles(lake, f"q{side}", side),
            compute=_quantiles(lake, f"c{side}", side),
            total=_quantiles(lake, f"q{side} + c{side}", side),
        ),
    )


def _only(lake: Lake, this: str, other: str) -> int:
    (count,) = lake.row(
        f"SELECT count(*) FROM pairs WHERE first AND s{this} < 2 AND coalesce(s{other}, 2) = 2"
    )
    return int(count)


def _quantiles(lake: Lake, ms: str, side: str) -> Quantiles:
    """Of each request that was scored, by the buckets of `podium.trials.quantiles.Histogram`."""
    found = lake.rows(f"""
        SELECT CAST(CASE WHEN abs(x) < 2 ** -64 THEN 0
            ELSE sign(x) * (1 + floor(32 * (log2(abs(x)) + 64))) END AS BIGINT) AS key, count(*)
        FROM (SELECT CAST({ms} AS DOUBLE) AS x FROM pairs WHERE first AND s{side} < 2)
        WHERE x IS NOT NULL GROUP BY key ORDER BY key
    """)
    keys, counts = zip(*found, strict=True) if found else ((), ())
    return summary(Histogram(tuple(keys), tuple(counts)))
