"""What both said of the same rows: one table that everything else is asked of.

A row is known by a hash of its request's id and its number: joining texts takes half as much time again. Of
ten million rows any two have the same hash with a chance of three in a million, and are then one row here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from podium.archive.comparing.contenders import Archived
from podium.archive.comparing.lake import Lake, text
from podium.archive.comparing.outputs import Output
from podium.archive.names import OUTCOMES
from podium.errors import ArchiveError
from podium.period import Period, shown

KEY = "hash(id, row)"
BOTH = "(sa < 2 AND sb < 2)"
"""Of the table `pairs`: both have scored the row, in time or late."""

CANARY = "c"
NUMBERS = {"a": 0, "b": 1, CANARY: 2}
"""The sides of a comparison in the table `said`."""

SAMPLE = 200_000
"""About so many rows are enough to see whether a column has moved, the same ones each time."""

_STATUS = "CAST(CASE status WHEN 'ok' THEN 0 WHEN 'late' THEN 1 ELSE 2 END AS UTINYINT)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The requests of a period: how many rows, and the time from the first to after the last in µs.

    `where` is the condition of SQL on the table of requests that it was asked with.
    """

    where: str
    rows: int
    since: int
    until: int

    def is_sampled(self, key: str) -> str:
        """Whether the row with this key is among those that drift is looked for in."""
        return f"({key} % {max(1, self.rows // SAMPLE)} = 0)"


def ask(lake: Lake, period: Period | None) -> Asked:
    """Make the table `asked`: a row for each row of the period's requests, with the time of arrival in µs.

    Where a caller used an id twice, the first request counts. Raises ArchiveError where there is none, and
    says when there are.
    """
    where = _in(period) if period else "true"
    lake.do(f"""
        CREATE TEMP TABLE asked AS
        SELECT {KEY} AS k, row = 0 AS first, epoch_us(received) AS received FROM requests WHERE {where}
    """)
    if _are_some_twice(lake.arrays("SELECT k FROM asked")["k"]):
        lake.do("""
            CREATE OR REPLACE TEMP TABLE asked AS
            SELECT k, any_value(first) AS first, min(received) AS received FROM asked GROUP BY k
        """)
    rows, since, until = lake.row("SELECT count(*), min(received), max(received) FROM asked")
    if not rows:
        raise ArchiveError(_nothing_in(lake, period))
    if period:
        return Asked(where=where, rows=rows, since=period.since_us, until=period.until_us)
    return Asked(where=where, rows=rows, since=since, until=until + 1)


def _are_some_twice(keys: np.ndarray) -> bool:
    """By sorting: of ten million keys that takes a quarter of the time of grouping them."""
    upper = keys >= np.uint64(1 << 63)  # keys are hashes, so each half is as large, and sorted by a thread
    with ThreadPoolExecutor(2) as pool:
        return any(pool.map(_repeats, (keys[upper], keys[~upper])))


def _repeats(keys: np.ndarray) -> bool:
    keys.sort()
    return bool((keys[1:] == keys[:-1]).any())


def _nothing_in(lake: Lake, period: Period | None) -> str:
    span = lake.span()
    if span is None or period is None:
        return "nothing is archived yet: send requests first, as with `podium score`"
    first, last = map(shown, span)
    return f"no request came in from {period}; the archive has requests from {first} to {last}"


def _in(period: Period) -> str:
    since, until = (f"make_timestamptz({us})" for us in (period.since_us, period.until_us))
    return f"received >= {since} AND received < {until}"


def pair(
    lake: Lake,
    sides: Mapping[str, Archived],
    outputs: Sequence[Output],
    *,
    asked: Asked,
    period: Period | None,
) -> None:
    """Make the tables `said`, of all sides, `pairs`, of `asked` with both statuses, times and values, and
    `known`, of the outcomes.

    `sa`, `qa`, `ca` and `aN` are a's status (0 in time, 1 late, 2 failed, null: no score), time in the queue
    and of the computation in ms, and outputs. Of the canary there is a sample. Outcomes are `tN`.
    """
    ids = _ids(lake, period)
    _say(lake, sides, outputs, asked, ids)
    _join(lake, outputs)
    _know(lake, outputs, ids)
    (paired,) = lake.row("SELECT count(*) FROM pairs")
    if paired > asked.rows:  # a score beside an error, or beside its replay: the better one counts
        best = "QUALIFY row_number() OVER (PARTITION BY side, k ORDER BY s, replayed, scored DESC) = 1"
        _say(lake, sides, outputs, asked, f"{ids} {best}")
        _join(lake, outputs)


def _say(
    lake: Lake, sides: Mapping[str, Archived], outputs: Sequence[Output], asked: Asked, kept: str
) -> None:
    values = "".join(f", {output.scores} AS o{output.number}" for output in outputs)
    cases = "".join(
        f" WHEN version = {text(who.version)} AND model = {text(who.model)} THEN {NUMBERS[side]}"
        for side, who in sides.items()
    )
    models, versions = (
        ", ".join(sorted({text(word) for word in words}))
        for words in zip(*((who.model, who.version) for who in sides.values()), strict=True)
    )
    canary = sides.get(CANARY)
    sampled = f" AND ({_is_other(canary)} OR {asked.is_sampled('k')})" if canary else ""
    lake.do(f"""
        CREATE OR REPLACE TEMP TABLE said AS
        SELECT CAST(CASE{cases} END AS UTINYINT) AS side, {KEY} AS k, {_STATUS} AS s,
            CAST(queue_ms AS FLOAT) AS q, CAST(compute_ms AS FLOAT) AS c{values}
        FROM scores
        WHERE model IN ({models}) AND version IN ({versions}) AND side IS NOT NULL{sampled}{kept}
    """)


def _is_other(who: Archived) -> str:
    """In words that the files' dictionaries know: by `side` it takes a tenth more of the whole scan."""
    return f"model <> {text(who.model)} OR version <> {text(who.version)}"


def _ids(lake: Lake, period: Period | None) -> str:
    """Ids begin with the time, so this keeps a reader from opening what is of another one."""
    if not period:
        return ""
    first, last = lake.row(f"SELECT min(id), max(id) FROM requests WHERE {_in(period)}")
    return f" AND id BETWEEN {text(first)} AND {text(last)}"


def _join(lake: Lake, outputs: Sequence[Output]) -> None:
    lake.do(f"""
        CREATE OR REPLACE TEMP TABLE pairs AS
        SELECT * FROM asked
        LEFT JOIN ({_scores("a", outputs)}) USING (k)
        LEFT JOIN ({_scores("b", outputs)}) USING (k)
    """)


def _scores(side: str, outputs: Sequence[Output]) -> str:
    values = "".join(f", o{output.number} AS {side}{output.number}" for output in outputs)
    return (
        f"SELECT k, s AS s{side}, q AS q{side}, c AS c{side}{values} FROM said WHERE side = {NUMBERS[side]}"
    )


def _know(lake: Lake, outputs: Sequence[Output], ids: str) -> None:
    """The newest known outcome of each output."""
    there = lake.columns(OUTCOMES) if lake.has(OUTCOMES) else {}
    told = {output.t: expression for output in outputs if (expression := output.outcome(there))}
    newest = "".join(
        f", arg_max({told[output.t]}, received) AS {output.t}"
        if output.t in told
        else f", NULL AS {output.t}"
        for output in outputs
    )
    source = f"(SELECT {KEY} AS k, * FROM outcomes WHERE true{ids})" if told else "asked WHERE false"
    lake.do(f"CREATE TEMP TABLE known AS SELECT k{newest} FROM {source} GROUP BY k")
