"""What the protocols have in common: a door turns rows into requests and replies into columns. No I/O."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
import numpy as np

from podium.errors import ModelFailed
from podium.models.server.http import Reply, Request
from podium.models.values import lists_of, of_lists
from podium.schema import Columns, Field, Schema
from podium.servers import Server

JSON = {"content-type": "application/json", "accept": "application/json"}
_KEPT = "/:%~@!$&'()*+,;="
encode = msgspec.json.Encoder().encode


class Door(ABC):
    """A protocol between one model and its server.

    `health` is the path that answers 200 when the server is ready, `metadata` the one that describes the
    model; empty where none is known.
    """

    metadata = ""

    def __init__(self, server: Server, inputs: Schema, outputs: Schema) -> None:
        self._server = server
        self._inputs = inputs
        self._outputs = outputs
        self._path = _target(server.url + server.path)
        self.health = quote(server.health, safe="/:%~") or self._usual_health()

    def _usual_health(self) -> str:
        return ""

    def learn(self, said: Any) -> None:
        """Take what the server says of the model, where it has `metadata`; whatever is none is ignored."""
        raise NotImplementedError

    @abstractmethod
    def questions(self, columns: Columns) -> list[Request]:
        """The requests for these rows: one for all of them, or one for each."""

    @abstractmethod
    def answers(self, replies: Sequence[Reply], rows: int) -> dict[str, np.ndarray]:
        """Exactly the declared outputs. Raises ModelFailed for anything else."""

    def _route(self, route: str) -> str:
        return self._path.rstrip("/") + route

    def _posted(self, route: str, body: Any) -> list[Request]:
        return [Request(method="POST", target=self._route(route), body=encode(body), headers=JSON)]

    def _lists(self, columns: Columns) -> list[Any]:
        """A list for each row; of one tensor it is the tensor itself."""
        fields = self._inputs.fields
        if len(fields) == 1 and fields[0].shape:
            return plain(columns[fields[0].name])
        return [list(row.values()) for row in self._objects(columns)]

    def _objects(self, columns: Columns) -> list[dict[str, Any]]:
        """Each row by name, in the schema's order."""
        names = self._inputs.names
        rows = zip(*(plain(columns[name]) for name in names), strict=True)
        return [dict(zip(names, row, strict=True)) for row in rows]


def _target(url: str) -> str:
    parts = urlsplit(url)
    path = quote(parts.path or "/", safe=_KEPT)
    return f"{path}?{quote(parts.query, safe=_KEPT + '?')}" if parts.query else path


def plain(values: np.ndarray) -> list[Any]:
    found: list[Any] = values.tolist()
    return found


def is_missing(value: Any) -> bool:
    """Whether it is NaN, which stands for a missing number."""
    return isinstance(value, float) and math.isnan(value)


def column(field: Field, values: list[Any], rows: int) -> np.ndarray:
    try:
        typed = msgspec.convert(values, lists_of(field))
    except msgspec.ValidationError as error:
        raise ModelFailed(f"output {field.name!r}: {error}; expected values of {field}") from None
    return of_lists(field, typed, rows)
