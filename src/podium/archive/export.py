"""What the models saw, what was answered and what really happened, as one table to train on.

A row of a request is a row of it. Only some requests get an outcome, and which ones often depends on what
was answered: whoever was refused a loan never fails to pay it back. `weight` makes up for that, as far
as it depends on who answered and when: it is one over the part of the rows with an outcome, among the
rows that the same version answered by the same rule on the same day. Weighted by it, sums and means over the
rows with an outcome estimate those over all rows (Horvitz and Thompson, "A generalization of sampling without
replacement from a finite universe", Journal of the American Statistical Association 47, 1952).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from deltalake import DeltaTable, QueryBuilder

from podium.archive import reading, sql
from podium.archive.engine import connect, parquet, spill_folder
from podium.archive.layouts import Answers, Outcomes, Requests, Scores
from podium.archive.names import ANSWERS, OUTCOMES, REQUESTS, SCORES
from podium.archive.past import extent
from podium.errors import ArchiveError, NotFound
from podium.period import Period

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FORMATS = {".parquet": "FORMAT parquet, COMPRESSION zstd", ".csv": "FORMAT csv, HEADER"}
MEMORY = "1GB"
"""What does not fit goes into a folder beside the file that is written."""

STRATUM = ("model", "version", "rule", "day")


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What was written: rows, those with an outcome, and those that no weight stands for.

    The last are the rows of a version, rule and day of which no row has an outcome.
    """

    file: str
    rows: int
    with_outcome: int
    unrepresented: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One endpoint's table of one period. `archive` is a folder or a URL."""

    archive: str
    endpoint: str
    period: Period
    with_scores: bool = False

    def write(self, file: Path) -> Exported:
        """Write it, as `.parquet` or `.csv`; a file that is there is replaced once the new one is whole.

        Raises ArchiveError where the period has no request or the file cannot be written, NotFound where
        nothing is archived, MissingExtra without DuckDB.
        """
        part = file.with_name(f".{file.name}.part")
        try:
            with spill_folder(file.parent) as spill:
                found = self._write(part, spill, FORMATS[file.suffix])
            part.replace(file)
        except OSError as error:
            raise ArchiveError(f"{file} cannot be written: {error.strerror or error}") from None
        finally:
            part.unlink(missing_ok=True)
        return msgspec.structs.replace(found, file=str(file))

    def _write(self, part: Path, spill: Path, options: str) -> Exported:
        with _connected(spill) as connection:
            self._views(connection)
            self._serve(connection)
            rows, outcomes, unrepresented = self._counts(connection)
            if not rows:
                requests = reading.table(self.archive, self.endpoint, REQUESTS)
                raise ArchiveError(f"no request came from {self.period}; {extent(requests)}")
            connection.execute(f"COPY ({self._selected(connection)}) TO {sql.text(str(part))} ({options})")
            return Exported(file="", rows=rows, with_outcome=outcomes, unrepresented=unrepresented)

    # --- the tables -------------------------------------------------------------------------

    def _views(self, connection: DuckDBPyConnection) -> None:
        for name in (REQUESTS, ANSWERS, SCORES):
            _view(connection, name, reading.table(self.archive, self.endpoint, name))
        try:
            _view(connection, OUTCOMES, reading.table(self.archive, self.endpoint, OUTCOMES))
        except NotFound:
            _view_without_outcomes(connection)

    def _serve(self, connection: DuckDBPyConnection) -> None:
        """The table `served`: a row for each row of a request, with its answer and its newest outcome."""
        inputs = _listed("r", _columns(connection, REQUESTS, Requests.prefix))
        answers = _listed("a", _columns(connection, ANSWERS, Answers.prefix))
        outcomes = _listed("o", _columns(connection, OUTCOMES, Outcomes.prefix))
        since, until = (f"make_timestamptz({at})" for at in (self.period.since_us, self.period.until_us))
        day = f"day >= DATE '{(self.period.since - timedelta(days=1)).date()}'"  # clocks of machines differ
        connection.execute(
            f"CREATE TEMP TABLE served AS SELECT r.id, r.row, r.received{inputs}, a.model, a.version, a.rule"
            f"{answers}{outcomes}, CAST(r.received AS DATE) AS day, o.id IS NOT NULL AS has_outcome "
            f"FROM (SELECT * FROM {REQUESTS} WHERE {day} AND received >= {since} AND received < {until}) r "
            f"LEFT JOIN ({_newest(f'(FROM {ANSWERS} WHERE {day})', 'answered')}) a USING (id, row) "
            f"LEFT JOIN ({_newest(OUTCOMES, 'received', 'observed')}) o USING (id, row)"
        )
        connection.execute(
            f"CREATE TEMP TABLE strata AS SELECT {', '.join(STRATUM)}, count(*) AS rows, "
            f"count(*) FILTER (WHERE has_outcome) AS outcomes FROM served GROUP BY ALL"
        )

    def _counts(self, connection: DuckDBPyConnection) -> tuple[int, int, int]:
        found = connection.execute(
            "SELECT coalesce(sum(rows), 0), coalesce(sum(outcomes), 0), "
            "coalesce(sum(rows) FILTER (WHERE outcomes = 0), 0) FROM strata"
        ).fetchone()
        assert found is not None  # an aggregate has one row
        return int(found[0]), int(found[1]), int(found[2])

    def _selected(self, connection: DuckDBPyConnection) -> str:
        same = " AND ".join(f"s.{name} IS NOT DISTINCT FROM t.{name}" for name in STRATUM)
        scores, joined = self._scores(connection) if self.with_scores else ("", "")
        return (
            f"SELECT s.* EXCLUDE (day, has_outcome), "
            f"CASE WHEN has_outcome THEN t.rows / t.outcomes END AS weight{scores} "
            f"FROM served s JOIN strata t ON {same} {joined} ORDER BY s.received, s.id, s.row"
        )

    def _scores(self, connection: DuckDBPyConnection) -> tuple[str, str]:
        """Columns of each contender's scores, and the join that they come from; live ones before replayed."""
        scored = f"FROM {SCORES} SEMI JOIN served USING (id, row)"
        contenders = connection.execute(f"SELECT DISTINCT model, version {scored} ORDER BY ALL").fetchall()
        columns = {
            f"{model}@{version}.{output.removeprefix(Scores.prefix)}": (
                f"arg_min({sql.name(output)}, replayed) FILTER "
                f"(WHERE model = {sql.text(model)} AND version = {sql.text(version)} AND status <> 'error')"
            )
            for model, version in contenders
            for output in _columns(connection, SCORES, Scores.prefix)
        }
        if not columns:
            return "", ""
        pivoted = ", ".join(f"{value} AS {sql.name(name)}" for name, value in columns.items())
        joined = f"(SELECT id, row, {pivoted} {scored} GROUP BY id, row) p"
        return _listed("p", list(columns)), f"LEFT JOIN {joined} ON p.id = s.id AND p.row = s.row"


@contextmanager
def _connected(spill: Path) -> Iterator[DuckDBPyConnection]:
    """DuckDB, whose errors are facts from here on."""
    with connect(spill, memory=MEMORY) as connection:
        import duckdb  # an extra, which is there once there is a connection

        try:
            yield connection
        except duckdb.Error as error:
            said = str(error).splitlines()[0]
            raise ArchiveError(f"nothing is exported, and a file of that name is as it was: {said}") from None


def _view(connection: DuckDBPyConnection, name: str, table: DeltaTable) -> None:
    files = reading.files(table)
    if files and "://" not in files[0]:
        connection.execute(f"CREATE TEMP VIEW {name} AS SELECT * FROM {parquet(files)}")
    else:
        # DuckDB reads object storage by extensions that it downloads; deltalake has what it takes.
        found = QueryBuilder().register(name, table).execute(f"SELECT * FROM {name}")
        connection.from_arrow(found).create(name)


def _view_without_outcomes(connection: DuckDBPyConnection) -> None:
    """For an archive from before there were outcomes: the table that it would have, without rows."""
    outputs = [name.removeprefix(Answers.prefix) for name in _columns(connection, ANSWERS, Answers.prefix)]
    values = [f"{sql.name(Answers.prefix + name)} AS {sql.name(Outcomes.prefix + name)}" for name in outputs]
    columns = ", ".join(["id", "row", "answered AS observed", "answered AS received", *values])
    connection.execute(f"CREATE TEMP VIEW {OUTCOMES} AS SELECT {columns} FROM {ANSWERS} WHERE false")


def _newest(name: str, *by: str) -> str:
    """Of several rows for one row of a request, the last."""
    order = ", ".join(f"{column} DESC" for column in by)
    return f"SELECT * FROM {name} QUALIFY row_number() OVER (PARTITION BY id, row ORDER BY {order}) = 1"


def _columns(connection: DuckDBPyConnection, name: str, prefix: str) -> list[str]:
    described = connection.execute(f"DESCRIBE {name}").fetchall()
    return [column for column, *_ in described if column.startswith(prefix)]


def _listed(table: str, columns: list[str]) -> str:
    return "".join(f", {table}.{sql.name(column)}" for column in columns)
