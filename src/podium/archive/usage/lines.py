"""The lines of some hours, in SQL: what came in, what was answered, what every contender said of it.

A line is about one hour of arrival, caller, model, version and rule. A request is in one line, by its answer:
so requests, rows, answers and defaults of all lines add up. A contender's score of a request is in one line
too: that of the answer where the score was the answer, else in one without a rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from arro3.core import Table as ArrowTable

from podium.archive import sql
from podium.archive.comparing.outputs import Output, What, outputs_of
from podium.archive.names import SCORES
from podium.archive.usage.hours import HOUR_US
from podium.archive.usage.rows import gather
from podium.archive.usage.snapshot import Snapshot
from podium.counters import BUCKETS, PER_OCTAVE, SHORTEST_MS
from podium.records import DEFAULT_RULE

KEYS = ("hour", "caller", "model", "version", "rule")
COUNTS = (
    "requests", "rows", "answers", "defaults", "scored", "late", "errors", "compared", "disagreements",
)  # fmt: skip
SUMS = ("total_ms", "compute_s")
BUCKETS_COLUMN, COUNTS_COLUMN = "latency_buckets", "latency_counts"
"""The histogram of `total_ms`: which buckets of `podium.counters` have something, and how much."""


def lines(now: Snapshot, endpoint: str, hours: Sequence[int], *, tolerance: float) -> ArrowTable:
    """The lines of these hours, best of one day; none for an hour without requests."""
    outputs = outputs_of(now.columns[SCORES], {})
    gather(now, hours, outputs)
    made = ", ".join([
        f"{sql.text(endpoint)} AS endpoint",
        f"make_timestamptz(part.hour * {HOUR_US}) AS hour",
        f"CAST(make_timestamptz(part.hour * {HOUR_US}) AS DATE) AS day",
        *KEYS[1:],
        *(f"CAST(coalesce(sum({name}), 0) AS BIGINT) AS {name}" for name in COUNTS),
        *(f"coalesce(sum({name}), 0.0) AS {name}" for name in SUMS),
        f"coalesce(any_value({BUCKETS_COLUMN}), []) AS {BUCKETS_COLUMN}",
        f"coalesce(any_value({COUNTS_COLUMN}), []) AS {COUNTS_COLUMN}",
        *(f"CAST(coalesce(sum({e.name}), 0) AS {e.kind}) AS {e.name}" for e in _errors(outputs)),
    ])  # fmt: skip
    found = now.connection.sql(f"""
        SELECT {made} FROM ({_answered()} UNION ALL BY NAME {_scored(outputs, tolerance)}) AS part
        GROUP BY {", ".join(f"part.{name}" for name in KEYS)}
    """)
    return ArrowTable.from_arrow(found)


def _answered() -> str:
    """By its answer each request is in one line; one that has none in a line without model and rule."""
    took = f"histogram({bucket('total_ms')}) FILTER (first AND total_ms IS NOT NULL)"
    return f"""
        SELECT * EXCLUDE (took), map_keys(took) AS {BUCKETS_COLUMN}, map_values(took) AS {COUNTS_COLUMN}
        FROM (
            SELECT hour, caller, by_model AS model, by_version AS version, rule,
                count(*) FILTER (first) AS requests,
                count(*) AS rows,
                count(*) FILTER (first AND rule <> {sql.text(DEFAULT_RULE)}) AS answers,
                count(*) FILTER (first AND rule = {sql.text(DEFAULT_RULE)}) AS defaults,
                sum(total_ms) FILTER (first) AS total_ms,
                {took} AS took
            FROM whole GROUP BY ALL
        )
    """


def bucket(ms: str) -> str:
    """What `podium.counters.bucket_of` says of a column of latencies."""
    octaves = f"log2({ms} / {SHORTEST_MS!r})"
    above = f"CAST(least({BUCKETS - 1}, 1 + floor({octaves} * {PER_OCTAVE})) AS INTEGER)"
    return f"CASE WHEN {ms} <= {SHORTEST_MS!r} THEN 0 ELSE {above} END"


def _scored(outputs: Sequence[Output], tolerance: float) -> str:
    """By what a contender said each row is in one line of this contender.

    All frames of one computation have its whole time (`compute_ms`). It is counted once in an hour, and its
    lines share it by their rows.
    """
    errors = _errors(outputs)
    sums = ["scored", "late", "errors", "compared", "disagreements", *(error.name for error in errors)]
    share = "n / sum(n) OVER (PARTITION BY hour, model, version, second, compute_ms)"
    return f"""
        SELECT hour, caller, model, version, rule, sum(share * compute_ms) / 1000 AS compute_s,
            {", ".join(f"sum({name}) AS {name}" for name in sums)}
        FROM (SELECT *, {share} AS share FROM (
            SELECT hour, caller, model, version,
                CASE WHEN model = by_model AND version = by_version THEN rule END AS rule,
                epoch_us(scored) // 1000000 AS second, compute_ms,
                count(*) AS n,
                count(*) FILTER (first AND s < 2) AS scored,
                count(*) FILTER (first AND s = 1) AS late,
                count(*) FILTER (first AND s = 2) AS errors,
                count(*) FILTER ({_COMPARED}) AS compared,
                count(*) FILTER ({_COMPARED} AND NOT ({_agree(outputs, tolerance)})) AS disagreements
                {"".join(f", {error.sql} AS {error.name}" for error in errors)}
            FROM said JOIN whole USING (k) GROUP BY ALL
        )) GROUP BY ALL
    """


_COMPARED = "s < 2 AND NOT is_champion AND is_there"


def _agree(outputs: Sequence[Output], tolerance: float) -> str:
    """As `podium.trials.agreement` has it: on all outputs that both have, and there is one."""
    shared = " OR ".join(output.both for output in outputs) or "false"
    agreed = " AND ".join(f"coalesce({output.agrees(tolerance)}, true)" for output in outputs) or "true"
    return f"({shared}) AND {agreed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """A column that says how wrong scores are: its name as SQL has it, its type, and how it is counted."""

    name: str
    kind: str
    sql: str


def _errors(outputs: Sequence[Output]) -> list[Error]:
    """Of each number and each label: the rows with an outcome, and sums of what they cost."""
    found = []
    for output in outputs:
        judged = f"s < 2 AND {output.b} IS NOT NULL AND {output.t} IS NOT NULL"
        apart = f"({output.b} - {output.t})"
        match output.what:
            case What.NUMBER:
                sums = {
                    "judged": ("BIGINT", f"count(*) FILTER ({judged})"),
                    "absolute": ("DOUBLE", f"sum(abs({apart})) FILTER ({judged})"),
                    "squared": ("DOUBLE", f"sum({apart} ** 2) FILTER ({judged})"),
                }
            case What.LABEL:
                sums = {
                    "judged": ("BIGINT", f"count(*) FILTER ({judged})"),
                    "wrong": ("BIGINT", f"count(*) FILTER ({judged} AND {output.b} <> {output.t})"),
                }
            case _:
                continue
        found += [
            Error(name=sql.name(f"{what}_{output.name}"), kind=kind, sql=counted)
            for what, (kind, counted) in sums.items()
        ]
    return found
