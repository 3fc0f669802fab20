"""Rows of a user's file, each with where it stands; text becomes what a schema says."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from podium.errors import MissingExtra, ProjectError
from podium.schema import Field, Kind

PARQUET_ROWS = 10_000


class Line(NamedTuple):
    """One row: its values by column, and where it is, as in `rows.csv:17`."""

    where: str
    values: Mapping[str, Any]


def typed(field: Field, text: str | None, where: str) -> Any:
    """A cell's text as a value of the field; raises ProjectError where it is none."""
    try:
        match field.type:
            case _ if field.shape:
                return json.loads(text or "")
            case Kind.STRING:
                return text
            case Kind.FLOAT:
                return None if field.missing and not text else float(text or "")
            case Kind.INT:
                return int(text or "")
            case Kind.BOOL:
                return {"true": True, "false": False, "1": True, "0": False}[(text or "").lower()]
    except (ValueError, KeyError):
        raise ProjectError(f"{where}: {field.name} is {text!r}, expected {field}") from None


class CsvRows:
    """The rows of a CSV file with a header; values are text, None where a line is short."""

    is_text = True

    def __init__(self, file: Path) -> None:
        self._file = file

    def names(self) -> Sequence[str]:
        with _text(self._file) as lines:
            return list(csv.DictReader(lines).fieldnames or ())

    def count(self) -> int:
        """How many rows there are, more or less."""
        return _lines_in(self._file) - 1

    def __iter__(self) -> Iterator[Line]:
        with _text(self._file) as lines:
            table = csv.DictReader(lines)
            for row in table:
                yield Line(f"{self._file}:{table.line_num}", row)


class JsonRows:
    """A JSON object on each line. Raises ProjectError at a line that is none."""

    is_text = False

    def __init__(self, file: Path) -> None:
        self._file = file

    def names(self) -> Sequence[str]:
        """Those of all rows: a row may leave some out."""
        return list(dict.fromkeys(name for line in self for name in line.values))

    def count(self) -> int:
        return _lines_in(self._file)

    def __iter__(self) -> Iterator[Line]:
        with _text(self._file) as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    where = f"{self._file}:{number}"
                    yield Line(where, _object(line, where))


class ParquetRows:
    """The rows of a Parquet file, counted from 1."""

    is_text = False

    def __init__(self, file: Path) -> None:
        try:
            import duckdb  # only who has Parquet needs it
        except ImportError:
            raise MissingExtra("DuckDB, which reads Parquet,", "reports") from None
        self._file = file
        self._database = duckdb.connect()
        try:
            self._names = self._query("DESCRIBE SELECT *").fetchall()
        except duckdb.Error as error:
            raise ProjectError(f"{file} is not Parquet: {str(error).splitlines()[0]}") from None

    def names(self) -> Sequence[str]:
        return [name for name, *_ in self._names]

    def count(self) -> int:
        found: int = self._query("SELECT count(*)").fetchall()[0][0]
        return found

    def __iter__(self) -> Iterator[Line]:
        names, number = self.names(), 0
        found = self._query("SELECT *")
        while rows := found.fetchmany(PARQUET_ROWS):
            for row in rows:
                number += 1
                yield Line(f"{self._file} row {number}", dict(zip(names, row, strict=True)))

    def _query(self, what: str) -> Any:
        return self._database.execute(f"{what} FROM read_parquet(?)", [str(self._file)])


Rows = CsvRows | JsonRows | ParquetRows
KINDS: dict[str, type[CsvRows] | type[JsonRows] | type[ParquetRows]] = {
    ".csv": CsvRows,
    ".jsonl": JsonRows,
    ".parquet": ParquetRows,
}


def rows_of(file: Path) -> Rows:
    """The file's rows, by what its name ends with. Raises ProjectError."""
    if file.suffix not in KINDS:
        raise ProjectError(f"{file}: expected a file that ends with {', '.join(KINDS)}")
    return KINDS[file.suffix](file)


@contextmanager
def _text(file: Path) -> Iterator[TextIO]:
    """The file as text; raises ProjectError where it is none."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            yield lines
    except (UnicodeDecodeError, csv.Error) as error:
        raise ProjectError(f"{file} cannot be read: {error}") from None


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProjectError(f"{where} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ProjectError(f"{where}: expected an object, found {line.strip()[:40]}")
    return found


def _lines_in(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(1 for _ in lines)
