"""Adds up the lines of a period."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from podium.archive import sql
from podium.archive.names import USAGE
from podium.archive.usage.figures import (
    Figures,
    OfCaller,
    OfContender,
    OfRule,
    OfTime,
    OutputErrors,
    Usage,
)
from podium.archive.usage.hours import HOUR_US
from podium.archive.usage.lines import BUCKETS_COLUMN, COUNTS, COUNTS_COLUMN, SUMS
from podium.archive.usage.snapshot import Snapshot, opened
from podium.archive.usage.table import existing
from podium.counters import BUCKETS, Distribution
from podium.errors import ArchiveError
from podium.period import Period, microseconds, moment_of, shown

JUDGED = "judged_"
Kind = TypeVar("Kind", bound=Figures)


def usage(archive: str, endpoint: str, period: Period, *, is_current: bool = True) -> Usage:
    """The figures of the hours of a period, from the lines that are there.

    Raises ArchiveError where no request came in them.
    """
    table = existing(archive, endpoint)
    if table is None:
        raise ArchiveError(
            "nothing is archived yet: send requests first, as with `podium score`"
            if is_current
            else "another process is making the first figures: ask again when it is done"
        )
    first, after = period.since_us // HOUR_US, -(-period.until_us // HOUR_US)
    since, until = (moment_of(hour * HOUR_US) for hour in (first, after))
    with opened(archive, endpoint, {USAGE: table}) as now:
        _take(now, since, until)
        return _usage(now, endpoint, since, until, is_current)


def _take(now: Snapshot, since: datetime, until: datetime) -> None:
    """Make `lines`, those of the period."""
    files = [
        file for file in now.files[USAGE] if file.day is None or since.date() <= file.day <= until.date()
    ]
    bounds = [f"make_timestamptz({microseconds(at)})" for at in (since, until)]
    now.do(f"""
        CREATE TEMP TABLE lines AS FROM {now.scan(USAGE, files)}
        WHERE hour >= {bounds[0]} AND hour < {bounds[1]}
    """)
    if not now.row("SELECT count(*) FROM lines")[0]:
        raise ArchiveError(f"no request came in from {shown(since)} to {shown(until)}; {_extent(now)}")


def _extent(now: Snapshot) -> str:
    first, last = now.row(
        f"SELECT epoch_us(min(hour)), epoch_us(max(hour)) FROM {now.scan(USAGE, now.files[USAGE])}"
    )
    if first is None:
        return "the archive has none at all"
    return f"the archive has some from {shown(moment_of(first))} to {shown(moment_of(last + HOUR_US))}"


def _usage(now: Snapshot, endpoint: str, since: datetime, until: datetime, is_current: bool) -> Usage:
    contender = {"model": "model", "version": "version"}
    return Usage(
        endpoint=endpoint,
        since=shown(since),
        until=shown(until),
        is_current=is_current,
        total=_grouped(now, Figures, {})[0],
        contenders=tuple(_grouped(now, OfContender, contender, where="model IS NOT NULL", judged="true")),
        rules=tuple(_grouped(now, OfRule, {"rule": "rule", **contender}, where="requests > 0")),
        callers=tuple(_grouped(now, OfCaller, {"caller": "caller"})),
        hours=tuple(_grouped(now, OfTime, {"since": _time("hour")})),
        days=tuple(_grouped(now, OfTime, {"since": _time("date_trunc('day', hour)")})),
    )


def _time(value: str) -> str:
    return f"strftime({value}, '%Y-%m-%dT%H:%M:%SZ')"


def _grouped(
    now: Snapshot,
    kind: type[Kind],
    by: Mapping[str, str],
    *,
    where: str = "true",
    judged: str = "rule IS NOT NULL",
) -> list[Kind]:
    """Figures for each group of lines, in the order of what they are grouped by.

    `judged` is true of the lines that say how wrong it was.
    """
    keys = [f"{expression} AS {name}" for name, expression in by.items()]
    outputs = _outputs(now.columns[USAGE])
    errors = [column for columns in outputs.values() for column in columns]
    sums = [*COUNTS, *SUMS, *errors]
    selected = ", ".join([
        *keys,
        *(f"sum({name})" for name in (*COUNTS, *SUMS)),
        *(f"sum({sql.name(name)}) FILTER ({judged})" for name in errors),
    ])  # fmt: skip
    found = now.rows(f"SELECT {selected} FROM lines WHERE {where} GROUP BY ALL ORDER BY ALL")
    latencies = _latencies(now, keys, where)
    groups = []
    for row in found:
        key = row[: len(keys)]
        total = dict(zip(sums, row[len(keys) :], strict=True))
        took = latencies.get(key, Distribution((0,) * BUCKETS, 0.0))
        groups.append(_figures(kind, dict(zip(by, key, strict=True)), total, took, outputs))
    return groups


def _latencies(now: Snapshot, keys: Sequence[str], where: str) -> dict[tuple[Any, ...], Distribution]:
    """Histograms are merged by adding up their buckets."""
    unnested = ", ".join([
        *keys, f"unnest({BUCKETS_COLUMN}) AS bucket", f"unnest({COUNTS_COLUMN}) AS n"
    ])  # fmt: skip
    counts: dict[tuple[Any, ...], list[int]] = {}
    for *key, bucket, count in now.rows(
        f"SELECT * EXCLUDE (n), sum(n) FROM (SELECT {unnested} FROM lines WHERE {where}) GROUP BY ALL"
    ):
        counts.setdefault(tuple(key), [0] * BUCKETS)[bucket] = int(count)
    return {key: Distribution(tuple(of), 0.0) for key, of in counts.items()}


def _figures(
    kind: type[Kind],
    key: Mapping[str, Any],
    total: Mapping[str, Any],
    took: Distribution,
    outputs: Mapping[str, Sequence[str]],
) -> Kind:
    p50, p90, p99 = (took.quantile(q) for q in (0.5, 0.9, 0.99))
    return kind(
        **key,
        **{name: int(total[name]) for name in COUNTS},
        compute_s=total["compute_s"],
        mean_ms=total["total_ms"] / took.count if took.count else None,
        p50_ms=p50,
        p90_ms=p90,
        p99_ms=p99,
        against_outcomes=tuple(_errors(name, total) for name in outputs if total[JUDGED + name]),
    )


# --- errors ---------------------------------------------------------------------------------


def _outputs(columns: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The outputs that outcomes are known of, and the columns that say how wrong scores of each were."""
    names = [name.removeprefix(JUDGED) for name in columns if name.startswith(JUDGED)]
    return {
        name: tuple(
            column
            for what in (JUDGED, "absolute_", "squared_", "wrong_")
            if (column := what + name) in columns
        )
        for name in names
    }


def _errors(name: str, total: Mapping[str, Any]) -> OutputErrors:
    judged = int(total[JUDGED + name])
    absolute, squared, wrong = (total.get(what + name) for what in ("absolute_", "squared_", "wrong_"))
    return OutputErrors(
        output=name,
        judged=judged,
        mae=None if absolute is None else absolute / judged,
        rmse=None if squared is None else (squared / judged) ** 0.5,
        wrong=None if wrong is None else int(wrong) / judged,
    )
