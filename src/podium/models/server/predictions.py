"""Protocols that answer a list with a prediction for each row: MLflow's, Vertex AI's, SageMaker's."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from podium.errors import ModelFailed, PackageError
from podium.models.server.base import JSON, Door, column, encode, is_missing
from podium.models.server.http import Reply, Request
from podium.models.server.replies import checked, json_of
from podium.schema import Columns, Field, Schema
from podium.servers import Server

_CSV = "text/csv"


class _Predictions(Door):
    """The answer is a list with something for each row: a value, an object, or a list."""

    def answers(self, replies: Sequence[Reply], rows: int) -> dict[str, np.ndarray]:
        said = json_of(replies[0])
        if isinstance(said, Mapping):
            if "predictions" not in said:
                raise ModelFailed(f"its answer has {_names(said)}, expected 'predictions'")
            said = said["predictions"]
        if not isinstance(said, list):
            raise ModelFailed(
                f"its predictions are {encode(said)[:60].decode(errors='ignore')}, expected a list"
            )
        if len(said) != rows:
            raise ModelFailed(f"it answered {len(said)} predictions for {rows} rows")
        return self._columns(said, rows)

    def _columns(self, predictions: list[Any], rows: int) -> dict[str, np.ndarray]:
        fields = self._outputs.fields
        if isinstance(predictions[0], Mapping):
            return {field.name: self._named(field, predictions, rows) for field in fields}
        if len(fields) == 1:
            return {fields[0].name: column(fields[0], _unwrapped(fields[0], predictions), rows)}
        if not all(isinstance(row, list) and len(row) == len(fields) for row in predictions):
            raise ModelFailed(
                f"its predictions are no lists of {len(fields)} values, expected {self._outputs}"
            )
        columns = zip(*predictions, strict=True)
        return {f.name: column(f, list(values), rows) for f, values in zip(fields, columns, strict=True)}

    def _named(self, field: Field, predictions: list[Any], rows: int) -> np.ndarray:
        alone = len(self._outputs.fields) == 1 and all(
            isinstance(p, Mapping) and len(p) == 1 for p in predictions
        )
        values = []
        for row in predictions:
            if alone:
                values.append(next(iter(row.values())))
            elif isinstance(row, Mapping) and field.name in row:
                values.append(row[field.name])
            else:
                raise ModelFailed(f"a prediction has {_names(row)}, expected {field.name!r}")
        return column(field, values, rows)


def _unwrapped(field: Field, predictions: list[Any]) -> list[Any]:
    """A single value may come as a list of one."""
    if not field.shape and all(isinstance(row, list) and len(row) == 1 for row in predictions):
        return [row[0] for row in predictions]
    return predictions


def _names(said: Any) -> str:
    return str(sorted(map(str, said))) if isinstance(said, Mapping) else repr(said)[:60]


class MLflow(_Predictions):
    """MLflow's scoring server: a data frame, or a matrix."""

    def _usual_health(self) -> str:
        return self._route("/ping")

    def questions(self, columns: Columns) -> list[Request]:
        if self._server.layout == "inputs":
            return self._posted("/invocations", {"inputs": self._lists(columns)})
        data = [list(row.values()) for row in self._objects(columns)]
        frame = {"columns": list(self._inputs.names), "data": data}
        return self._posted("/invocations", {"dataframe_split": frame})


class Vertex(_Predictions):
    """Vertex AI's and KServe's v1: instances, and a prediction for each."""

    def _usual_health(self) -> str:
        route, verb, _ = self._path.rpartition(":predict")
        return route if verb else ""

    def questions(self, columns: Columns) -> list[Request]:
        rows = self._objects(columns) if self._server.layout == "objects" else self._lists(columns)
        return [Request(method="POST", target=self._path, body=encode({"instances": rows}), headers=JSON)]


class SageMaker(_Predictions):
    """A SageMaker container: lines of CSV without names, or a JSON list of rows."""

    def __init__(self, server: Server, inputs: Schema, outputs: Schema) -> None:
        super().__init__(server, inputs, outputs)
        if server.layout == "csv" and any(field.shape for field in inputs.fields):
            raise PackageError(f"lines of CSV hold single values, the inputs are {inputs}")

    def _usual_health(self) -> str:
        return self._route("/ping")

    def questions(self, columns: Columns) -> list[Request]:
        rows = self._lists(columns)
        if self._server.layout == "json":
            return self._posted("/invocations", rows)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([[_cell(value) for value in row] for row in rows])
        headers = {"content-type": _CSV, "accept": _CSV}
        body = text.getvalue().encode()
        return [Request(method="POST", target=self._route("/invocations"), body=body, headers=headers)]

    def answers(self, replies: Sequence[Reply], rows: int) -> dict[str, np.ndarray]:
        if checked(replies[0]).kind != _CSV:
            return super().answers(replies, rows)
        text = io.StringIO(replies[0].body.decode(errors="replace"), newline="")
        try:
            lines = [line for line in csv.reader(text) if line]
        except csv.Error as error:
            raise ModelFailed(f"it answered what is no CSV: {error}") from None
        if len(lines) == 1 and len(lines[0]) == rows and len(self._outputs.fields) == 1:
            lines = [[cell] for cell in lines[0]]  # some containers put all rows' values into one line
        if len(lines) != rows:
            raise ModelFailed(f"it answered {len(lines)} lines for {rows} rows")
        cells = [[_value(cell) for cell in line] for line in lines]
        return self._columns(cells, rows)


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return "" if is_missing(value) else value


def _value(cell: str) -> Any:
    try:
        return msgspec.json.decode(cell.strip())
    except msgspec.DecodeError:
        return cell
