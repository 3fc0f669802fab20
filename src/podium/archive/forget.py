"""Rows of the archive that must go: of one caller, one key, one request.

They are found in the table of requests by whose they are, and removed from all tables by the requests' ids.
The tables' partitions are written anew without them, and the old files are deleted at once, not after the
hours for which readers may otherwise go on. That it was done is kept in a table of its own, without what
was forgotten.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

import msgspec
from arro3.core import Field as ArrowField
from arro3.core import RecordBatch
from arro3.core import Schema as ArrowSchema
from deltalake import DeltaTable, write_deltalake

from podium.archive import beside, columns, reading, sql
from podium.archive.columns import INT, STRING, TIME
from podium.archive.names import FORGOTTEN, REQUESTS, TABLES, table_uri
from podium.archive.usage.table import forget as forget_lines
from podium.errors import ArchiveError, NotFound

IDS_AT_ONCE = 5_000
"""Ids in one removal: each one writes files anew, but of 30,000 the engine overflows its stack."""

LAST = REQUESTS
"""Removed last: whoever is interrupted finds the ids again."""


class What(StrEnum):
    """Whose rows are meant: the columns of `requests` that say so."""

    CALLER = "caller"
    KEY = "key"
    ID = "id"


class Selector(msgspec.Struct, frozen=True, kw_only=True):
    """A caller, a key or a request's id, exactly as it was sent."""

    what: What
    value: str

    @property
    def hash(self) -> str:
        """What is remembered of it: the SHA-256 of the value."""
        return hashlib.sha256(self.value.encode()).hexdigest()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to forget: ids of requests, and when the newest of them came (µs; 0 for none)."""

    ids: list[str]
    newest: int


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """What was removed: requests, and rows by table."""

    requests: int
    rows: dict[str, int]


class Forgetting:
    """Removes rows from one endpoint's archive, beside its archiver. Methods block."""

    def __init__(self, archive: str, endpoint: str) -> None:
        self._archive = archive
        self._endpoint = endpoint

    def find(self, selector: Selector) -> Found:
        """Raises ArchiveError where there is nothing to forget, NotFound where nothing is archived at all."""
        requests = reading.table(self._archive, self._endpoint, REQUESTS)
        found = sql.rows(
            f"SELECT id, arrow_cast(max(received), 'Int64') AS at FROM t "
            f"WHERE {selector.what} = {sql.text(selector.value)} GROUP BY id",
            t=requests,
        )
        ids = list(found.column("id").cast(STRING).to_pylist())
        if not ids and selector.what is What.ID and self._is_anywhere(selector.value):
            ids = [selector.value]  # a request that lost its own row to an earlier try
        if not ids:
            raise ArchiveError(
                f"nothing of {selector.what} {selector.value!r} is archived, so there is nothing to forget; "
                "a value must be exactly as it was sent"
            )
        return Found(ids=ids, newest=max(found.column("at").to_pylist(), default=0))

    def remove(self, ids: Sequence[str], *, caller: str | None = None) -> Forgotten:
        """Remove all rows of these requests, and what the disk still holds of them.

        Figures of usage are made again without them at the next report; those of a caller who is to be
        forgotten, which name them, go now.
        """
        tables = sorted(self._tables(), key=lambda each: each[0] == LAST)
        rows = {name: sum(beside.delete(table, each) for each in _predicates(ids)) for name, table in tables}
        for _, table in tables:
            beside.shred(table)
        if caller is not None:
            forget_lines(self._archive, self._endpoint, caller)
        return Forgotten(requests=len(ids), rows=rows)

    def record(self, selector: Selector, forgotten: Forgotten, *, by: str) -> None:
        """Keep when it was done, by whom, and how much it was; of whose it was only a hash."""
        uri = table_uri(self._archive, self._endpoint, FORGOTTEN)
        write_deltalake(uri, _row(selector, forgotten.rows, forgotten.requests, by=by), mode="append")

    def _tables(self) -> Iterator[tuple[str, DeltaTable]]:
        for name in TABLES:
            try:
                yield name, reading.table(self._archive, self._endpoint, name)
            except NotFound:  # an archive from before this table
                continue

    def _is_anywhere(self, id: str) -> bool:
        query = f"SELECT 1 AS one FROM t WHERE id = {sql.text(id)} LIMIT 1"
        return any(sql.rows(query, t=table).num_rows for _, table in self._tables())


def _predicates(ids: Sequence[str]) -> Iterator[str]:
    """In order, and with bounds: ids made by gateways begin with the time, so most files can be skipped."""
    ordered = sorted(ids)
    for start in range(0, len(ordered), IDS_AT_ONCE):
        some = ordered[start : start + IDS_AT_ONCE]
        yield f"id >= {sql.text(some[0])} AND id <= {sql.text(some[-1])} AND id IN {sql.texts(some)}"


def _row(selector: Selector, rows: Mapping[str, int], requests: int, *, by: str) -> RecordBatch:
    texts = {"by": by, "what": selector.what.value, "selector": selector.hash}
    counts = {"ids": requests, **{name: rows.get(name, 0) for name in TABLES}}
    fields = [("forgotten", TIME), *((name, STRING) for name in texts), *((name, INT) for name in counts)]
    arrays = [
        columns.times([time.time_ns() // 1000]),
        *(columns.strings([text]) for text in texts.values()),
        *(columns.integers([count]) for count in counts.values()),
    ]
    schema = ArrowSchema([ArrowField(name, kind, nullable=True) for name, kind in fields])
    return RecordBatch.from_arrays(arrays, schema=schema)
