"""`podium outcome`: what really happened, for one request or for a file of them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import click
from rich.console import Console
from rich.progress import Progress

from podium.cli.asking import Gateway, Refused, key_option, running_here
from podium.cli.endpoints import without_endpoint
from podium.cli.rows import Line, Rows, rows_of, typed
from podium.errors import NotRunning, ProjectError
from podium.protocol.outcomes import HEADER
from podium.run import Run
from podium.schema import Schema, did_you_mean

BATCH = 1000
TRIES = 10
RETRY_SECONDS = 1.0
ID, ROW, OBSERVED = "id", "row", "observed"
PREFIX = "true_"


class Item(NamedTuple):
    """One outcome for the gateway, and where it stands in the file."""

    where: str
    key: tuple[str, Any]
    text: str


@click.command()
@click.argument("words", nargs=-1, metavar="[ENDPOINT] [ID JSON]")
@click.option("--observed", help="When it happened, e.g. 2026-11-24T12:00:00Z; else: now.")
@click.option(
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Many: .csv, .jsonl or .parquet.",
)
@key_option
def outcome(words: tuple[str, ...], observed: str | None, file: Path | None, key: str | None) -> None:
    """Say what really happened: `podium outcome ID '{"progression": 151}'`, or `--file` for many.

    A file has the columns id and the outputs by name, and perhaps row and observed; what is empty is not
    known. A second outcome corrects the first, and both are kept.
    """
    run, url = running_here()
    found = without_endpoint(words, 2 if file is None else 0, run.endpoint)
    if found is None:
        raise click.UsageError("give an id and its outcome as JSON, or --file outcomes.csv")
    path = f"/outcome/{run.endpoint}"
    if file is None:
        id, body = found
        headers = {HEADER: observed} if observed else {}
        with closing(Gateway(url, f"{path}/{quote(id, safe='')}", headers, key)) as gateway:
            click.echo(gateway.ask(body).body.decode())
    else:
        with closing(Gateway(url, path, {}, key)) as gateway:
            _import(gateway, run, rows_of(file), file, observed)


# --- many -----------------------------------------------------------------------------------


def _import(gateway: Gateway, run: Run, rows: Rows, file: Path, observed: str | None) -> None:
    began = time.monotonic()
    columns = _columns(file, rows.names(), run.outputs)
    taken, unchecked = 0, 0
    last = ""
    with Progress(console=Console(stderr=True), disable=not Console(stderr=True).is_terminal) as progress:
        task = progress.add_task("outcomes", total=rows.count())
        schema = run.outputs if rows.is_text else None
        items = _items(progress.track(rows, task_id=task), columns, schema, observed)
        try:
            for batch in _batches(items, run.limits.body_bytes):
                reply = _sent(gateway, batch)
                taken += reply["outcomes"]
                unchecked += reply["unchecked"]
                last = batch[-1].where
        except (ProjectError, Refused, NotRunning) as error:
            raise type(error)(f"{error}; {_before(taken, last)}") from None
    if not taken:
        raise ProjectError(f"{file} has no outcome: no row, or nothing in its columns of outputs")
    click.echo(f"{taken:,} outcomes taken in {time.monotonic() - began:.2f} s{_trusted(unchecked)}")


def _columns(file: Path, names: Sequence[str], outputs: Schema) -> dict[str, str]:
    """The columns that hold outputs, each with its output. Says which others are left out."""
    if not names:
        raise ProjectError(f"{file} is empty; its columns should be {ID} and outputs of {outputs}")
    if ID not in names:
        near, there = did_you_mean(ID, names), ", ".join(names)
        raise ProjectError(f"{file}: no column {ID!r}{near}; its columns are {there}")
    meant = {name: name.removeprefix(PREFIX) for name in names if name not in (ID, ROW, OBSERVED)}
    found = {name: output for name, output in meant.items() if output in outputs}
    others = [name for name in meant if name not in found]
    if not found:
        near = next((n for n in map(outputs.nearest, others) if n), "")
        raise ProjectError(f"{file}: no column is an output{near}; the endpoint's outputs are {outputs}")
    if len(set(found.values())) < len(found):
        raise ProjectError(f"{file}: an output has two columns: {', '.join(found)}")
    if others:
        click.echo(f"not outputs, left out: {', '.join(others)}", err=True)
    return found


def _items(
    rows: Iterable[Line], columns: Mapping[str, str], schema: Schema | None, observed: str | None
) -> Iterator[Item]:
    """The rows in which something is known; with a schema, text becomes what it says."""
    for where, values in rows:
        known = {
            output: value if schema is None else typed(schema[output], value, where)
            for name, output in columns.items()
            if (value := values.get(name)) not in (None, "")
        }
        if known:
            yield _item(where, values, known, observed)


def _item(where: str, values: Mapping[str, Any], known: dict[str, Any], observed: str | None) -> Item:
    id = "" if values.get(ID) is None else str(values[ID])
    if not id:
        raise ProjectError(f"{where}: the id is empty")
    row = _row(values.get(ROW), where)
    when = _time(values.get(OBSERVED)) or observed
    item = {ID: id, ROW: row, "outcome": known} | ({OBSERVED: when} if when else {})
    return Item(where, (id, row), json.dumps(item, default=_plain))


def _row(value: Any, where: str) -> int:
    try:
        number = 0.0 if value in (None, "") else float(value)  # pandas writes 1.0 where others are empty
    except (ValueError, TypeError):
        number = -1.0
    if number < 0 or not number.is_integer():
        raise ProjectError(f"{where}: row is {value!r}, expected a number from 0")
    return int(number)


def _time(value: Any) -> Any:
    """A timestamp of Parquet as text; one without a zone is UTC there."""
    if not isinstance(value, datetime):
        return value
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()


def _plain(value: Any) -> Any:
    """What JSON does not know: Parquet's decimals, dates, times."""
    return float(value) if hasattr(value, "as_tuple") else str(value)


def _batches(items: Iterable[Item], most_bytes: int) -> Iterator[list[Item]]:
    """What fits one body. No row twice in one batch: the later one is a correction of the first."""
    batch: dict[tuple[str, Any], Item] = {}
    size = 0
    for item in items:
        if batch and (len(batch) == BATCH or size + len(item.text) > most_bytes or item.key in batch):
            yield list(batch.values())
            batch, size = {}, 0
        batch[item.key] = item
        size += len(item.text) + 3
    if batch:
        yield list(batch.values())


def _sent(gateway: Gateway, batch: Sequence[Item]) -> Any:
    """The gateway's word for a batch, which it takes whole or not at all; asks again when it is busy."""
    body = f"[{', '.join(item.text for item in batch)}]"
    for _ in range(TRIES):
        try:
            return gateway.ask(body).json()
        except Refused as error:
            if not error.later:
                raise Refused(f"{_place(error, batch)}: {error}") from None
        time.sleep(RETRY_SECONDS)
    return gateway.ask(body).json()


def _place(error: Refused, batch: Sequence[Item]) -> str:
    """The line that the gateway's words are about."""
    index = error.path.removeprefix("$[").partition("]")[0]
    return batch[int(index) if index.isdigit() else 0].where


def _before(taken: int, last: str) -> str:
    return f"{taken:,} outcomes were taken, up to {last}" if taken else "no outcome was taken"


def _trusted(unchecked: int) -> str:
    return (
        f"; of {unchecked:,} the archive cannot tell yet whether there is such a request" if unchecked else ""
    )
