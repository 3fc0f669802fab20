"""Opening the tables to read them, while the archiver writes."""

from __future__ import annotations

from urllib.parse import unquote

from deltalake import DeltaTable

from podium.archive.names import TABLES, table_uri
from podium.errors import NotFound


def table(archive: str, endpoint: str, name: str) -> DeltaTable:
    """The newest state of a table. Raises NotFound where nothing was archived yet."""
    uri = table_uri(archive, endpoint, name)
    if name not in TABLES:
        raise NotFound(f"{name!r} is not a table of the archive; those are {', '.join(TABLES)}")
    if not DeltaTable.is_deltatable(uri):
        raise NotFound(f"nothing is archived at {uri} yet")
    return DeltaTable(uri)


def files(found: DeltaTable) -> list[str]:
    """The Parquet files that make up the table now; they stay for two hours after being replaced.

    The column `day` is in their paths (hive partitioning), and a file from before a schema grew
    lacks the newer columns: readers take the union by name. deltalake writes a path as an address, with
    `%20` for a space; whoever opens a file wants its own name.
    """
    return [uri if "://" in uri else unquote(uri) for uri in found.file_uris()]


def count(found: DeltaTable) -> int:
    """The number of rows, from the table's log alone."""
    return found.count()
