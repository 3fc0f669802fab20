"""One Delta table, and the state that its commits carry.

Each commit adds rows and, in the same atomic step, says how far the table has come: the position
in the stream of the last message in it, the highest `seq` of each source, and the number of
requests of all time. They are Delta's application transactions, which checkpoints and log
clean-up keep (`docs/decisions/0005-archive.md`).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from arro3.core import RecordBatch
from arro3.core import Schema as ArrowSchema
from deltalake import (
    ColumnProperties,
    CommitProperties,
    DeltaTable,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import DeltaError

from podium.archive.columns import FLOAT, nulls, type_name
from podium.archive.entries import Entry
from podium.archive.layouts import DAY, Layout
from podium.archive.shown import Shown
from podium.errors import ProjectError

POSITION = "podium/position"
REQUESTS = "podium/requests"
SOURCE = "podium/source/"

SOURCES_REMEMBERED = 10_000
"""Sources whose highest `seq` is in memory; that of any other is looked up in the table's log."""

TARGET_BYTES = 32 * 1024 * 1024
"""Files smaller than this are merged, up to it: no merge rewrites more, so none takes long."""

CONFIGURATION = {
    "delta.checkpointInterval": "100",
    "delta.logRetentionDuration": "interval 1 hours",
    # How long a reader may go on using a list of files that it has asked for.
    "delta.deletedFileRetentionDuration": "interval 2 hours",
    # A source is a process; the numbers of those that ended long ago need not be kept.
    "delta.setTransactionRetentionDuration": "interval 30 days",
}
PARQUET = WriterProperties(compression="ZSTD")
_NO_DICTIONARY = ColumnProperties(dictionary_enabled=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """What one commit added."""

    rows: int = 0
    duplicates: int = 0


class Table:
    """The archiver's hand on one table: only this one moves the table's state.

    Others may add or remove rows beside it (`podium.archive.beside`). Methods block: they read and
    write the storage.
    """

    def __init__(self, uri: str, layout: Layout) -> None:
        self.uri = uri
        self.layout = layout
        self._parquet = WriterProperties(
            compression="ZSTD",
            # Hardly any float comes twice: a dictionary of them takes time, and more room than it saves.
            column_properties=dict.fromkeys(_float_columns(layout.schema), _NO_DICTIONARY),
        )
        self.position = 0
        self.requests = 0
        self.small_files = 0
        self._marks: OrderedDict[str, int] = OrderedDict()
        self._shown = Shown()

    def create(self) -> None:
        """Make the table unless it is there, add the columns that it lacks, read its state.

        Raises ProjectError where a column is there with another type.
        """
        if not DeltaTable.is_deltatable(self.uri):
            schema = DeltaSchema.from_arrow(self.layout.schema)
            DeltaTable.create(self.uri, schema, partition_by=[DAY], configuration=CONFIGURATION)
        self.open()
        self._evolve()
        sizes = self._delta.get_add_actions(flatten=True)["size_bytes"].to_pylist()
        self.small_files = sum(size < TARGET_BYTES for size in sizes)

    def open(self) -> None:
        """Read the state from the storage, whatever was thought before."""
        self._delta = DeltaTable(self.uri)
        self._marks.clear()
        self.position = self._transaction(POSITION, 0)
        self.requests = self._transaction(REQUESTS, 0)

    def append(self, entries: Sequence[Entry[Any]], day: date) -> Appended:
        """Commit the rows of the entries that the table does not have; one commit, or none.

        Calling it again with the same entries, after `open` if it failed, adds nothing twice.
        """
        try:
            return self._append(entries, day)
        except DeltaError:  # others may have committed too (`podium.archive.beside`): look, and repeat
            self.open()
            return self._append(entries, day)

    def _append(self, entries: Sequence[Entry[Any]], day: date) -> Appended:
        marks: dict[str, int] = {}
        new = self._new(entries, marks)
        duplicates = sum(entry.position > self.position for entry in entries) - len(new)
        if not new:
            return Appended(duplicates=duplicates)
        batch = widened(self.layout.batch(new, day), self._delta)
        position = new[-1].position
        requests = self.requests + sum(len(entry.ids) for entry in new)
        write_deltalake(
            self._delta,
            batch,
            mode="append",
            writer_properties=self._parquet,
            commit_properties=CommitProperties(app_transactions=_state(position, requests, marks)),
        )
        self.position, self.requests = position, requests
        self.small_files += 1
        for entry in new:
            self._shown.add(entry.source, entry.seq, known_from=self._mark(entry.source) + 1)
        self._remember(marks)
        return Appended(rows=batch.num_rows, duplicates=duplicates)

    def has(self, source: str, seq: int) -> bool:
        """Whether it has this source's message of this number; or, of what is long ago, a later one."""
        return seq <= self._mark(source) and not self._shown.lacks(source, seq)

    def compact(self) -> None:
        """Merge small files."""
        self._delta.update_incremental()  # what somebody removed meanwhile must not be merged
        self._delta.optimize.compact(
            target_size=TARGET_BYTES, max_concurrent_tasks=1, writer_properties=self._parquet
        )
        self.small_files = 0

    def vacuum(self) -> None:
        """Delete files that no reader can be using any more, those of failed commits included."""
        self._delta.vacuum(dry_run=False, full=True)

    # --- state ------------------------------------------------------------------------------

    def _new(self, entries: Sequence[Entry[Any]], marks: dict[str, int]) -> list[Entry[Any]]:
        """Those past the position that the table does not have; `marks` gets the new marks."""
        new = {}
        for entry in entries:
            source, seq = entry.source, entry.seq
            if entry.position <= self.position:
                self._shown.add(source, seq, known_from=seq)
                continue
            mark = marks.get(source, self._mark(source))
            if self.has(source, seq) or (source, seq) in new:
                continue
            marks[source] = max(mark, seq)
            new[source, seq] = entry
        return list(new.values())

    def _mark(self, source: str) -> int:
        if source not in self._marks:
            self._remember({source: self._transaction(SOURCE + source, -1)})
        return self._marks[source]

    def _remember(self, marks: dict[str, int]) -> None:
        for source, seq in marks.items():
            self._marks[source] = seq
            self._marks.move_to_end(source)
        while len(self._marks) > SOURCES_REMEMBERED:
            self._marks.popitem(last=False)

    def _transaction(self, app: str, default: int) -> int:
        found = self._delta.transaction_version(app)
        return default if found is None else found

    # --- schema -----------------------------------------------------------------------------

    def _evolve(self) -> None:
        there = self._delta.schema().to_arrow()
        wanted = self.layout.schema
        names = set(there.names)
        new = [wanted.field(name) for name in wanted.names if name not in names]
        for name in names.intersection(wanted.names):
            old, now = type_name(there.field(name).type), type_name(wanted.field(name).type)
            if old != now:
                raise ProjectError(
                    f"archive {self.uri}: the column {name!r} is {old} there and {now} in the endpoint's "
                    "schema; give the field another name, or the project another archive"
                )
        if new:
            self._delta.alter.add_columns(DeltaSchema.from_arrow(ArrowSchema(new)).fields)


def widened(batch: RecordBatch, table: DeltaTable) -> RecordBatch:
    """The batch in the table's own order, null where the endpoint no longer has a column."""
    schema = table.schema().to_arrow()
    here = set(batch.schema.names)
    arrays = [
        batch.column(name) if name in here else nulls(schema.field(name).type, batch.num_rows)
        for name in schema.names
    ]
    return RecordBatch.from_arrays(arrays, schema=schema)


def _float_columns(schema: ArrowSchema) -> list[str]:
    """The paths of the columns of floats, as Parquet names those in lists."""
    paths = []
    for name in schema.names:
        path, kind = name, schema.field(name).type
        while kind.value_type is not None:
            path, kind = f"{path}.list.element", kind.value_type
        if kind == FLOAT:
            paths.append(path)
    return paths


def _state(position: int, requests: int, marks: dict[str, int]) -> list[Transaction]:
    now = int(time.time() * 1000)
    return [
        Transaction(POSITION, position),
        Transaction(REQUESTS, requests),
        *(Transaction(SOURCE + source, seq, now) for source, seq in marks.items()),
    ]
