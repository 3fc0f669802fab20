"""Fields of a schema, as tables of `podium.toml` declare them."""

from __future__ import annotations

import re

from podium.errors import ProjectError
from podium.schema import Field, Kind, Schema, check_default
from podium.toml_tables import Table

FIELD_NAME = re.compile(r"[A-Za-z_][\w .()%/+-]*")


def schema(table: Table, *, looked_up: bool = False) -> Schema:
    """A table of fields. Those that are `looked_up` are optional by nature. Raises ProjectError."""
    if not table.values:
        table.fail('a schema needs at least one field, as in `bmi = "float"`')
    return Schema(tuple(_field(table, name, looked_up) for name in table.values))


def _field(table: Table, name: str, looked_up: bool) -> Field:
    if not FIELD_NAME.fullmatch(name):
        table.fail(f"{name!r} cannot be a field's name: it starts with a letter and has no quotes", name)
    if isinstance(table.values[name], str) and not looked_up:
        return Field(name=name, type=Kind(table.choice(name, None, [kind.value for kind in Kind])))
    inner = _described(table, name, looked_up)
    kind = Kind(inner.choice("type", None, [kind.value for kind in Kind]))
    found = Field(
        name=name,
        type=kind,
        shape=_shape(inner),
        optional=looked_up or inner.flag("optional", False),
        default=inner.values.get("default"),
        missing=inner.flag("missing", False),
        classes=tuple(inner.words("classes", ())),
    )
    _check_optional(inner, found)
    return found


def _described(table: Table, name: str, looked_up: bool) -> Table:
    if not looked_up:
        return table.table(name).only("type", "shape", "optional", "default", "missing", "classes")
    if not isinstance(table.values[name], dict):
        table.fail(
            'needs a default: what models get when it is not found, as in { type = "float", default = 0.0 }',
            name,
        )
    return table.table(name).only("type", "shape", "default", "missing", "classes")


def _shape(table: Table) -> tuple[int, ...]:
    shape = table.values.get("shape", [])
    if not isinstance(shape, list):
        table.fail('a shape is a list, as in [28, 28]; -1 or "?" is open', "shape")
    sizes = tuple(-1 if size == "?" else size for size in shape)
    for size in sizes:
        if type(size) is not int or size < -1:
            table.fail(f'{size!r} is no size; a shape is a list as [28, 28]; -1 or "?" is open', "shape")
    return sizes


def _check_optional(table: Table, found: Field) -> None:
    if found.missing and found.type is not Kind.FLOAT:
        table.fail(f"`missing` is for float, and {found.name!r} is {found.type.value}", "missing")
    if "default" in table and not found.optional:
        table.fail(f"{found.name!r} has a default, but is not optional: add `optional = true`", "default")
    if not found.optional or (found.missing and "default" not in table):
        return
    if "default" not in table:
        table.fail(f"say what models get without {found.name!r}, as in `default = 0.0`")
    try:
        check_default(Schema((found,)), {found.name: found.default})
    except ProjectError:
        table.fail(f"the default {found.default!r} is not a {found.type.value} as {found} needs", "default")
