"""What both said of the same rows: one table that everything else is asked of.

A row is known by a hash of its request's id and its number: joining texts takes half as much time again. ten million rows any two have the same hash with a chance of three in a million, and are then one row here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from podium.archive.comparing.contenders import Archived
from podium.archive.comparing.lake import Lake, text
from podium.archive.comparing.outputs import Output
from podium.archive.names import OUTCOMES
from podium.errors import ArchiveError
from podium.period import Period, shown

KEY = "hash(id, row)"
BOTH = "(sa < 2 AND sb < 2)"
"""Of the table `pairs`: both have scored the row, in time or late."""

_STATUS = "CAST(CASE status WHEN 'ok' THEN 0 WHEN 'late' THEN 1 ELSE 2 END AS UTINYINT)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The requests of a period: its rows, and the time from the first to after the last in µs."""

    rows: int
    since: int
    until: int


def ask(lake: Lake, period: Period | None) -> Asked:
    """Make the table `asked`: a row for each row of the period's requests, with the time of arrival.

    Raises ArchiveError where there is none, and says when there are.
    """
    kept = f"WHERE {_in(period)}" if period else ""
    lake.do(
        f"CREATE TEMP TABLE asked AS SELECT {KEY} AS k, row = 0 AS first, epoch_us(received) AS received "
        f"FROM requests {kept}"
    )
    rows, distinct, since, until = lake.row(
        "SELECT count(*), count(DISTINCT k), min(received), max(received) FROM asked"
    )
    if not rows:
        raise ArchiveError(_nothing_in(lake, period))
    if distinct < rows:  # a caller used an id twice: the first of them counts
        lake.do(
            "CREATE OR REPLACE TEMP TABLE asked AS "
            "SELECT k, first, min(received) AS received FROM asked GROUP BY ALL"
        )
    if period:
        return Asked(rows=distinct, since=period.since_us, until=period.until_us)
    return Asked(rows=distinct, since=since, until=until + 1)


def _nothing_in(lake: Lake, period: Period | None) -> str:
    span = lake.span()
    if span is None or period is None:
        return "nothing is archived yet: send requests first, as with `podium score`"
    first, last = map(shown, span)
    return f"no request came in from {period}; the archive has requests from {first} to {last}"


def _in(period: Period) -> str:
    since, until = (f"make_timestamptz({us})" for us in (period.since_us, period.until_us))
    return f"received >= {since} AND received < {until}"


def pair(lake: Lake, a: Archived, b: Archived, outputs: Sequence[Output], period: Period | None) -> None:
    """Make the table `pairs` of `asked`: both statuses (null: no score), times in ms, values and outcomes.

    `sa`, `qa`, `ca` and `aN` are a's status (0 in time, 1 late, 2 failed), time in the queue, time of the
    computation and outputs.
    """
    ids = _ids(lake, period)
    _join(lake, a, b, outputs, ids, distinct=False)
    asked, paired = lake.row("SELECT (SELECT count(*) FROM asked), (SELECT count(*) FROM pairs)")
    if paired > asked:  # a score beside an error, or beside its replay: the better one counts
        _join(lake, a, b, outputs, ids, distinct=True)


def _ids(lake: Lake, period: Period | None) -> str:
    """Ids begin with the time, so this keeps a reader from opening what is of another one."""
    if not period:
        return ""
    first, last = lake.row(f"SELECT min(id), max(id) FROM requests WHERE {_in(period)}")
    return f" AND id BETWEEN {text(first)} AND {text(last)}"


def _join(
    lake: Lake, a: Archived, b: Archived, outputs: Sequence[Output], ids: str, *, distinct: bool
) -> None:
    there = lake.columns(OUTCOMES) if lake.has(OUTCOMES) else {}
    known = {output.t: expression for output in outputs if (expression := output.outcome(there))}
    unknown = "".join(f", NULL AS {output.t}" for output in outputs if output.t not in known)
    lake.do(f"""
        CREATE OR REPLACE TEMP TABLE pairs AS
        SELECT *{unknown} FROM asked
        LEFT JOIN ({_scores("a", a, outputs, ids, distinct=distinct)}) USING (k)
        LEFT JOIN ({_scores("b", b, outputs, ids, distinct=distinct)}) USING (k)
        {f"LEFT JOIN ({_newest(known, ids)}) USING (k)" if known else ""}
    """)


def _scores(side: str, who: Archived, outputs: Sequence[Output], ids: str, *, distinct: bool) -> str:
    values = "".join(f", {output.scores} AS {side}{output.number}" for output in outputs)
    best = f"QUALIFY row_number() OVER (PARTITION BY k ORDER BY s{side}, replayed, scored DESC) = 1"
    return (
        f"SELECT {KEY} AS k, {_STATUS} AS s{side}, CAST(queue_ms AS FLOAT) AS q{side}, "
        f"CAST(compute_ms AS FLOAT) AS c{side}{values} FROM scores "
        f"WHERE model = {text(who.model)} AND version = {text(who.version)}{ids} {best if distinct else ''}"
    )


def _newest(outcomes: Mapping[str, str], ids: str) -> str:
    """The newest known outcome of each output."""
    newest = "".join(
        f", arg_max({expression}, outcomes.received) AS {t}" for t, expression in outcomes.items()
    )
    return f"SELECT {KEY} AS k{newest} FROM outcomes WHERE true{ids} GROUP BY k"
