"""The files that the lines were made from, in a small table of their own, which is written anew each time.

It is written after the lines. Whoever dies between the two makes the same lines again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from arro3.core import Field as ArrowField
from arro3.core import RecordBatch
from arro3.core import Schema as ArrowSchema
from deltalake import DeltaTable, write_deltalake

from podium.archive import columns, sql
from podium.archive.columns import INT, STRING
from podium.archive.names import USAGE_FILES, table_uri
from podium.archive.table import CONFIGURATION, PARQUET
from podium.archive.usage.seen import Files
from podium.archive.usage.snapshot import File
from podium.archive.usage.table import writing

_SCHEMA = ArrowSchema(
    [
        ArrowField("definition", STRING, nullable=True),
        ArrowField("table", STRING, nullable=True),
        ArrowField("path", STRING, nullable=True),
        ArrowField("since", INT, nullable=True),
        ArrowField("until", INT, nullable=True),
    ]
)
UNKNOWN = -1


class Ledger:
    """What is remembered of one endpoint. Methods block."""

    def __init__(self, archive: str, endpoint: str) -> None:
        self._uri = table_uri(archive, endpoint, USAGE_FILES)

    def read(self, definition: str) -> Files | None:
        """The files that lines of this definition were made from; None where there are no such lines."""
        if not DeltaTable.is_deltatable(self._uri):
            return None
        found = sql.rows("SELECT * FROM t", t=DeltaTable(self._uri))
        each = [found.column(name).to_pylist() for name in ("definition", "table", "path", "since", "until")]
        files: dict[str, list[File]] = {}
        for said, name, path, since, until in zip(*each, strict=True):
            if said != definition:
                return None
            bounds = {} if UNKNOWN in (since, until) else {"since": since, "until": until}
            files.setdefault(name, []).append(File(path=path, **bounds))
        return files

    def write(self, definition: str, files: Mapping[str, Sequence[File]]) -> None:
        rows = [(name, file) for name, of in files.items() for file in of]
        bounds = [
            [UNKNOWN if at is None else at for at in of]
            for of in ([file.since for _, file in rows], [file.until for _, file in rows])
        ]
        arrays = [
            columns.strings([definition] * len(rows)),
            columns.strings([name for name, _ in rows]),
            columns.strings([file.path for _, file in rows]),
            *map(columns.integers, bounds),
        ]
        with writing(self._uri):
            write_deltalake(
                self._uri,
                RecordBatch.from_arrays(arrays, schema=_SCHEMA),
                mode="overwrite",
                configuration=CONFIGURATION,
                writer_properties=PARQUET,
            )
            DeltaTable(self._uri).vacuum(dry_run=False)
