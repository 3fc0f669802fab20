"""SQL: a query over the table `input`, run by DuckDB in this process; it reaches no file, no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from podium.errors import MissingExtra, ModelFailed, PackageError
from podium.models.formats.base import Allowed
from podium.models.manifest import Manifest
from podium.models.values import conform_all, rows_of
from podium.project import Query
from podium.schema import Columns, Kind, Schema

try:
    import duckdb
except ImportError:
    raise MissingExtra("duckdb", "sql") from None

FILE = "model.sql"
PARAMETERS = "parameters.json"
TABLE = "input"
ORDER = "row_id"
"""A column of the table, from 0; a query that may change the order of rows returns it too."""

_LOCKED: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
    "memory_limit": "1GB",
}


class SqlPredictor:
    """A prepared connection behind columns. Not for several threads."""

    def __init__(self, text: str, parameters: dict[str, Any], outputs: Schema, threads: int) -> None:
        self._connection = duckdb.connect(":memory:", config=_LOCKED | {"threads": str(threads)})
        self._connection.execute("SET lock_configuration = true")
        self._text = text
        self._parameters = parameters
        self._outputs = outputs

    def predict(self, columns: Columns) -> dict[str, np.ndarray]:
        rows = rows_of(columns)
        try:
            self._connection.register(TABLE, {**columns, ORDER: np.arange(rows)})
            found = self._connection.execute(self._text, self._parameters or None).fetchnumpy()
        except duckdb.Error as error:
            raise ModelFailed(str(error).partition("\n")[0]) from None
        order = found.pop(ORDER, None)
        answers = {name: self._plain(name, values) for name, values in found.items() if name in self._outputs}
        if order is not None and len(order) == rows:
            ordered = np.argsort(order, kind="stable")
            answers = {name: values[ordered] for name, values in answers.items()}
        return conform_all(self._outputs, answers, rows)

    def _plain(self, name: str, values: Any) -> np.ndarray:
        """NULL is NaN in a float, and an error elsewhere."""
        if not np.ma.is_masked(values):
            return np.asarray(values)
        if self._outputs[name].type is not Kind.FLOAT:
            raise ModelFailed(f"output {name!r} is NULL for some rows; only a float may be")
        filled: np.ndarray = np.ma.filled(values.astype("f8"), np.nan)
        return filled


def keep(query: Query, package: Path) -> None:
    """Put the query and its parameters into the folder."""
    try:
        text = query.file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise PackageError(f"{query.file.name}: not UTF-8 at byte {error.start}") from None
    (package / FILE).write_text(text, encoding="utf-8")
    (package / PARAMETERS).write_bytes(msgspec.json.encode(query.parameters, order="deterministic") + b"\n")


def open(package: Path, manifest: Manifest, allowed: Allowed) -> SqlPredictor:
    """Raises PackageError for what is not one SELECT, or has other parameters."""
    for field in (*manifest.inputs.fields, *manifest.outputs.fields):
        if field.shape:
            raise PackageError(
                f"{manifest.model}: {field} is a tensor; SQL models take and give single values"
            )
        if field.name == ORDER:
            raise PackageError(f"{manifest.model}: a field of a model in SQL cannot be called {ORDER}")
    try:
        text = (package / FILE).read_text(encoding="utf-8")
        parameters = msgspec.json.decode((package / PARAMETERS).read_bytes(), type=dict[str, Any])
    except (OSError, ValueError) as error:
        raise PackageError(f"{manifest.model}: its query cannot be read: {error}") from None
    _check(manifest.model, text, parameters)
    return SqlPredictor(text, parameters, manifest.outputs, allowed.threads)


def _check(model: str, text: str, parameters: dict[str, Any]) -> None:
    try:
        statements = duckdb.extract_statements(text)
    except duckdb.Error as error:
        raise PackageError(f"{model}: not SQL: {str(error).partition(chr(10))[0]}") from None
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise PackageError(f"{model}: a model in SQL is one SELECT from the table {TABLE}")
    wanted = set(statements[0].named_parameters)
    if wanted != set(parameters):
        raise PackageError(
            f"{model}: the query has the parameters {sorted(wanted)}, podium.toml gives {sorted(parameters)}"
        )
