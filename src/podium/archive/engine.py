"""DuckDB, as the queries over many rows use it: bounded memory, and a folder to spill into."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from podium.archive import sql
from podium.errors import MissingExtra

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PREFIX = ".podium-spill-"
_GLOB = re.compile(r"[\[*?]")


def connect(spill: Path, *, memory: str, ordered: bool = True) -> DuckDBPyConnection:
    """A connection with times in UTC; without `ordered`, rows come in any order. Raises MissingExtra."""
    try:
        import duckdb  # an extra, and slow to load: only who asks the archive needs it
    except ModuleNotFoundError:
        raise MissingExtra("DuckDB", "reports") from None
    connection = duckdb.connect(
        config={
            "memory_limit": memory,
            "temp_directory": str(spill),
            "preserve_insertion_order": ordered,
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def parquet(files: Iterable[str]) -> str:
    """These files as `FROM` takes them: `day` is in their paths, and older ones lack newer columns."""
    listed = ", ".join(sql.text(_GLOB.sub(r"[\g<0>]", file)) for file in files)
    return f"read_parquet([{listed}], hive_partitioning = true, union_by_name = true)"


@contextmanager
def spill_folder(parent: Path | None = None) -> Iterator[Path]:
    """An empty folder (below the system's for temporary files, where no other is named), gone at the end.

    What killed processes have left there goes too: it can be many gigabytes.
    """
    place = parent or Path(tempfile.gettempdir())
    for left in place.glob(f"{PREFIX}*"):
        if not _is_alive(left.name.removeprefix(PREFIX).partition("-")[0]):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", dir=place) as folder:
        yield Path(folder)


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (ValueError, PermissionError):  # not ours to judge
        return True
    return True
