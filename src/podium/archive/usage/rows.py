"""The rows of some hours' requests, with all that was said of them, as temporary tables.

| table | a row is |
| --- | --- |
| `came` | a row of a request: its hour, its caller |
| `said` | what a contender said of it, live |
| `champion`, `answered`, `known` | what the champion said of it, the answer, the newest outcomes |
| `whole` | a row of `came` with its row of each of these three |

A row is known by a hash of its request's id and its number, as in `podium.archive.comparing.pairs`. Of an
output `bN` is what a contender said, `aN` what the champion did, and `tN` what really happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from podium.archive import sql
from podium.archive.comparing.outputs import Output
from podium.archive.names import ANSWERS, OUTCOMES, REQUESTS, SCORES
from podium.archive.usage.hours import HOUR_US, day_of, hour_of
from podium.archive.usage.snapshot import File, Snapshot

_KEY = "hash(id, row)"
_STATUS = "CASE status WHEN 'ok' THEN 0 WHEN 'late' THEN 1 ELSE 2 END"


def gather(now: Snapshot, hours: Sequence[int], outputs: Sequence[Output]) -> None:
    """Make `said` and `whole`."""
    ids = _come(now, hours)
    _say(now, ids, outputs)
    _answer(now, ids)
    _know(now, ids, outputs)
    now.do("""
        CREATE OR REPLACE TEMP TABLE whole AS
        SELECT * EXCLUDE (model, version), model AS by_model, version AS by_version
        FROM came LEFT JOIN answered USING (k) LEFT JOIN champion USING (k) LEFT JOIN known USING (k)
    """)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ids:
    """Bounds of the ids of the hours' requests, and the first day on which something of them was archived."""

    first: str
    last: str
    day: date

    @property
    def sql(self) -> str:
        return f"id BETWEEN {sql.text(self.first)} AND {sql.text(self.last)}"

    def files(self, files: Sequence[File]) -> list[File]:
        return [
            file
            for file in files
            if file.may_have(self.first, self.last) and (file.day is None or file.day >= self.day)
        ]


def _come(now: Snapshot, hours: Sequence[int]) -> _Ids:
    """Make `came`, a row for each row of a request. An id that a caller used again counts once in an hour."""
    since, until = min(hours) * HOUR_US, (max(hours) + 1) * HOUR_US
    files = [file for file in now.files[REQUESTS] if file.may_be_of(since, until)]
    requests = now.scan(REQUESTS, files)
    # The bounds say nothing more, but a reader of files knows how to make use of them.
    some = (
        f"received >= make_timestamptz({since}) AND received < make_timestamptz({until}) "
        f"AND {hour_of('received')} IN ({', '.join(map(str, hours))})"
    )
    now.do(f"""
        CREATE OR REPLACE TEMP TABLE came AS
        SELECT {hour_of("received")} AS hour, {_KEY} AS k, row = 0 AS first, caller, received
        FROM {requests} WHERE {some}
    """)
    if _has_twice(now, "came", "hash(hour, k)"):
        now.do("""
            CREATE OR REPLACE TEMP TABLE came AS
            SELECT hour, k, any_value(first) AS first, arg_min(caller, received) AS caller
            FROM came GROUP BY hour, k
        """)
    first, last = now.row(f"SELECT coalesce(min(id), ''), coalesce(max(id), '') FROM {requests} WHERE {some}")
    return _Ids(first=first, last=last, day=day_of(min(hours)) - timedelta(days=1))  # clocks differ


def _say(now: Snapshot, ids: _Ids, outputs: Sequence[Output]) -> None:
    """Make `said`, a contender's live score or failure of a row, and `champion`, the champion's scores.

    Of a failure beside a score of the same contender (decision 0005) the score counts.
    """
    values = "".join(f", {output.scores} AS {output.b}" for output in outputs)
    scores = now.scan(SCORES, ids.files(now.files[SCORES]), f"{ids.sql} AND NOT replayed")
    now.do(f"""
        CREATE OR REPLACE TEMP TABLE said AS
        SELECT {_KEY} AS k, model, version, role = 'champion' AS is_champion, {_STATUS} AS s, scored,
            compute_ms{values}
        FROM {scores} WHERE {_KEY} IN (SELECT k FROM came)
    """)
    if _has_twice(now, "said", "hash(k, model, version)"):
        now.do("""
            CREATE OR REPLACE TEMP TABLE said AS FROM said
            QUALIFY row_number() OVER (PARTITION BY k, model, version ORDER BY s, scored DESC) = 1
        """)
    values = "".join(f", any_value({output.b}) AS {output.a}" for output in outputs)
    now.do(f"""
        CREATE OR REPLACE TEMP TABLE champion AS
        SELECT k, true AS is_there{values} FROM said WHERE is_champion AND s < 2 GROUP BY k
    """)


def _answer(now: Snapshot, ids: _Ids) -> None:
    """Make `answered`; of two answers to an id that was used again the last one counts."""
    if ANSWERS not in now.files:
        now.do("""
            CREATE OR REPLACE TEMP TABLE answered AS
            SELECT k, '' AS model, '' AS version, '' AS rule, 0.0::DOUBLE AS total_ms FROM came WHERE false
        """)
        return
    answers = now.scan(ANSWERS, ids.files(now.files[ANSWERS]), ids.sql)
    now.do(f"""
        CREATE OR REPLACE TEMP TABLE answered AS
        SELECT {_KEY} AS k, model, version, rule, total_ms, answered AS said_at
        FROM {answers} WHERE {_KEY} IN (SELECT k FROM came)
    """)
    if _has_twice(now, "answered", "k"):
        now.do("""
            CREATE OR REPLACE TEMP TABLE answered AS FROM answered
            QUALIFY row_number() OVER (PARTITION BY k ORDER BY said_at DESC) = 1
        """)


def _know(now: Snapshot, ids: _Ids, outputs: Sequence[Output]) -> None:
    """Make `known`: of each output the outcome that came last."""
    there = now.columns.get(OUTCOMES, {})
    told = {output: expression for output in outputs if (expression := output.outcome(there))}
    newest = "".join(
        f", arg_max({told[output]}, received) AS {output.t}"
        if output in told
        else f", CAST(NULL AS {output.kind}) AS {output.t}"
        for output in outputs
    )
    source = now.scan(OUTCOMES, ids.files(now.files[OUTCOMES]), ids.sql) if told else "came"
    key = f"{_KEY} AS k, *" if told else "k"
    now.do(f"""
        CREATE OR REPLACE TEMP TABLE known AS
        SELECT k{newest} FROM (SELECT {key} FROM {source} WHERE {str(bool(told)).lower()}) GROUP BY k
    """)


def _has_twice(now: Snapshot, name: str, key: str) -> bool:
    (twice,) = now.row(f"SELECT count(*) > count(DISTINCT {key}) FROM {name}")
    return bool(twice)
