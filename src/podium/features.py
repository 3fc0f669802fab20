"""`[features]` of podium.toml: inputs of models that clients do not send, and where they are looked up."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from podium import fields
from podium.run import Features
from podium.schema import Kind, Schema
from podium.toml_tables import Table

SOURCES = ("module", "table", "redis", "url")
"""A Python function; or lookups by key: in a Parquet file or Delta table, in Redis, at an HTTP service."""

KEY_KINDS = (Kind.INT, Kind.STRING)
KEY_SIGN = "{key}"

EXTRAS = {"redis": "redis"}
"""What a source needs beyond Podium itself: the extra that has it. Of a file (DuckDB) no image has one."""

_OF_SOURCE = {"key": SOURCES[1:], "name": ("redis",), "refresh": ("table",)}
_SCHEMES = {"redis": ("redis", "rediss", "unix"), "url": ("http", "https")}
_EXAMPLES = {"redis": "redis://127.0.0.1:6379/0", "url": "http://127.0.0.1:9000/customers"}


def features_of(table: Table, folder: Path, *, asked: Schema | None, deadline_ms: float) -> Features:
    """The section, checked against what clients send. Raises ProjectError."""
    table.only(*SOURCES, "key", "name", "budget", "refresh", "fields")
    source = _source(table)
    if asked is None:
        table.fail(
            "need [endpoint.inputs]: what clients send cannot be read from the champion, whose inputs are "
            "features too"
        )
    usual = Features(source=source, at="", fields=Schema(()))
    return Features(
        source=source,
        at=_at(table, source, folder),
        fields=_fields(table.table("fields", needed=True), asked),
        key="" if source == "module" else _key(table, asked),
        name=_name(table) if source == "redis" else "",
        budget_ms=_budget(table, usual.budget_ms, deadline_ms),
        refresh_s=table.duration("refresh", usual.refresh_s * 1000, least=1000) / 1000,
        where=table.where(source),
        folder=str(folder),
    )


def _source(table: Table) -> str:
    given = [key for key in SOURCES if key in table]
    choice = " or ".join(f"`{key}`" for key in SOURCES)
    if not given:
        table.fail(f"say nowhere what they come from: {choice}")
    if len(given) > 1:
        table.fail(f"come from one place, {choice}; here are `{given[0]}` and `{given[1]}`", given[1])
    for key, owners in _OF_SOURCE.items():
        if key in table and given[0] not in owners:
            table.fail(f"goes with {' or '.join(f'`{o}`' for o in owners)}, not with `{given[0]}`", key)
    return given[0]


def _at(table: Table, source: str, folder: Path) -> str:
    if source == "module":
        return str(table.file(folder, source))
    named = table.text(source, None)
    if source == "table":  # whether it is there is known when it is read: a rollback must not depend on it
        return named if "://" in named else str(folder / Path(named).expanduser())
    problem = "" if _is_address(named, _SCHEMES[source]) else f"{named!r} is no address"
    if not problem and source == "url" and "@" in urlsplit(named).netloc:
        problem = "has a user's name in it, which is not sent"
    if problem:
        table.fail(f'{problem}; write as in "{_EXAMPLES[source]}"', source)
    return named


def _is_address(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname or parts.scheme == "unix") and parts.port != 0
    except ValueError:
        return False


def _key(table: Table, asked: Schema) -> str:
    key = table.text("key", None)
    if key not in asked:
        table.fail(f"{key!r} is not an input of the endpoint{asked.nearest(key)}; those are {asked}", "key")
    if asked[key].type not in KEY_KINDS or asked[key].shape:
        table.fail(f"{asked[key]} cannot be a key; expected one int or string", "key")
    return key


def _name(table: Table) -> str:
    name = table.text("name", KEY_SIGN)
    if KEY_SIGN not in name:
        table.fail(f'{name!r} has no {KEY_SIGN} in it; write as in "customer:{KEY_SIGN}"', "name")
    return name


def _budget(table: Table, usual: float, deadline_ms: float) -> float:
    """What is left of the deadline is for the models."""
    budget = table.duration("budget", min(usual, deadline_ms / 2))
    if not 0 < budget < deadline_ms:
        table.fail(f"is more than 0ms and less than the deadline, {deadline_ms:g}ms", "budget")
    return budget


def _fields(table: Table, asked: Schema) -> Schema:
    """Each is optional with a default: what a request has when it is not found, or is from before."""
    found = fields.schema(table, looked_up=True)
    for field in found.fields:
        if field.name in asked:
            _both(table, field.name)
        if -1 in field.shape:
            table.fail(f"{field} has an open size; a feature's shape is the same in all requests", field.name)
    return found


def _both(table: Table, name: str) -> NoReturn:
    table.fail("is an input of [endpoint.inputs] too; clients do not send what is looked up", name)
