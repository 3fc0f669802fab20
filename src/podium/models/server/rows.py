"""One row a request, put together and taken apart as `podium.toml` says; by name where it says nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import numpy as np

from podium.errors import ModelFailed, PackageError
from podium.models.server.base import JSON, Door, column, encode, is_missing
from podium.models.server.http import Reply, Request
from podium.models.server.replies import json_of
from podium.schema import Columns, Schema
from podium.servers import Server, Step, inputs_in, steps


class Rows(Door):
    """The protocol `json`: a GET with a query, or a POST with a body."""

    def __init__(self, server: Server, inputs: Schema, outputs: Schema) -> None:
        super().__init__(server, inputs, outputs)
        names = inputs.names
        by_name = {name: name for name in names}
        get = server.method == "GET"
        self._query = server.query or (by_name if get else {})
        self._template: Any = None if get else (by_name if server.body is None else server.body)
        self._steps = {field.name: _steps(server, field.name) for field in outputs.fields}
        _check_names("request", [*self._query.values(), *inputs_in(self._template)], inputs)
        _check_names("response", server.outputs, outputs)

    def questions(self, columns: Columns) -> list[Request]:
        return [self._question(row) for row in self._objects(columns)]

    def _question(self, row: Mapping[str, Any]) -> Request:
        sent = [(key, row[name]) for key, name in self._query.items()]
        query = urlencode([(key, _text(value)) for key, value in sent if not is_missing(value)])
        joint = "&" if "?" in self._path else "?"
        target = f"{self._path}{joint}{query}" if query else self._path
        if self._template is None:
            headers = {"accept": "application/json"}
            return Request(method=self._server.method, target=target, headers=headers)
        body = encode(_filled(self._template, row))
        return Request(method=self._server.method, target=target, body=body, headers=JSON)

    def answers(self, replies: Sequence[Reply], rows: int) -> dict[str, np.ndarray]:
        said = [json_of(reply) for reply in replies]
        return {
            field.name: column(field, [_at(each, self._steps[field.name]) for each in said], rows)
            for field in self._outputs.fields
        }


def _check_names(table: str, names: Iterable[str], schema: Schema) -> None:
    for name in names:
        if name not in schema:
            raise PackageError(f"its `{table}` names {name!r}{schema.nearest(name)}, there are {schema}")


def _steps(server: Server, name: str) -> tuple[Step, ...]:
    found = steps(server.outputs[name]) if name in server.outputs else (name,)
    if found is None:
        raise PackageError(f"{server.outputs[name]!r} is no path to an output")
    return found


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else encode(value).decode()


def _filled(template: Any, row: Mapping[str, Any]) -> Any:
    match template:
        case str():
            return row[template]
        case Mapping():
            return {key: _filled(inner, row) for key, inner in template.items()}
        case list():
            return [_filled(inner, row) for inner in template]
    return template


def _at(said: Any, path: Sequence[Step]) -> Any:
    found = said
    for step in path:
        there = range(len(found)) if isinstance(found, list) else found if isinstance(found, Mapping) else ()
        if step not in there:
            raise ModelFailed(
                f"its answer {encode(said)[:100].decode(errors='ignore')} has no {_shown(path)}"
            )
        found = found[step]
    return found


def _shown(path: Sequence[Step]) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
