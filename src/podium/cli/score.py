"""`podium score`: answers from the command line."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from podium.cli.asking import Gateway, key_option, running_here
from podium.cli.endpoints import without_endpoint
from podium.cli.rows import CsvRows, typed
from podium.errors import ProjectError
from podium.schema import Schema

BATCH = 200


@click.command()
@click.argument("words", nargs=-1, metavar="[ENDPOINT] [JSON]")
@click.option(
    "--file", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Rows as CSV."
)
@click.option("--model", "force", help="That contender's score: MODEL or MODEL@VERSION.")
@click.option("--deadline", help="Wait no longer than this, e.g. 50ms.")
@key_option
def score(
    words: tuple[str, ...], file: Path | None, force: str | None, deadline: str | None, key: str | None
) -> None:
    """Ask the running endpoint: `podium score '{"bmi": 0.05}'`, or `--file rows.csv` for many.

    Prints one line of JSON for an answer; with --file one for each row, in the file's order.
    """
    run, url = running_here()
    body = _body(words, run.endpoint, file)
    headers = {"podium-force": force} if force else {}
    headers |= {"podium-deadline": deadline} if deadline else {}
    with closing(Gateway(url, f"/score/{run.endpoint}", headers, key)) as gateway:
        if file is None:
            click.echo(gateway.ask(body or "").body.decode())
        else:
            _score_file(gateway, file, run.asked)


def _body(words: tuple[str, ...], endpoint: str, file: Path | None) -> str | None:
    """The JSON among the words; an endpoint, if given, must be the one that runs here."""
    found = without_endpoint(words, 1 if file is None else 0, endpoint)
    if found is None:
        raise click.UsageError(
            "give one row of JSON, as in podium score '{\"bmi\": 0.05}', or --file rows.csv"
        )
    return found[0] if found else None


# --- many rows ------------------------------------------------------------------------------


def _score_file(gateway: Gateway, file: Path, inputs: Schema) -> None:
    began = time.monotonic()
    count = 0
    for batch in _batches(_rows(file, inputs)):
        reply = gateway.ask(json.dumps(batch)).json()
        count += len(batch)
        for row in reply["answer"]:
            click.echo(json.dumps(row | {"model": reply["model"], "rule": reply["rule"]}))
    click.echo(f"{count} rows scored in {time.monotonic() - began:.2f} s", err=True)


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _rows(file: Path, inputs: Schema) -> Iterator[dict[str, Any]]:
    """The file's rows with the endpoint's inputs; columns that it does not know are left out."""
    table = CsvRows(file)
    names = table.names()
    known = [name for name in names if name in inputs]
    if not known:
        raise ProjectError(f"{file}: no column is an input of the endpoint; its inputs are {inputs}")
    if ignored := [name for name in names if name not in inputs]:
        click.echo(f"not inputs, left out: {', '.join(ignored)}", err=True)
    for where, row in table:
        yield {name: typed(inputs[name], row[name], where) for name in known}
