"""`podium score`: answers from the command line."""

from __future__ import annotations

import csv
import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from podium import project as projects
from podium import run as runs
from podium.errors import NotFound, NotRunning, PodiumError, ProjectError
from podium.node.state import RUN, running
from podium.run import Run
from podium.schema import Kind, Schema

BATCH = 200
TIMEOUT = 30.0


class Refused(PodiumError):
    """The gateway's own words for what is wrong."""


@click.command()
@click.argument("words", nargs=-1, metavar="[ENDPOINT] [JSON]")
@click.option(
    "--file", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Rows as CSV."
)
@click.option("--model", "force", help="That contender's score: MODEL or MODEL@VERSION.")
@click.option("--deadline", help="Wait no longer than this, e.g. 50ms.")
def score(words: tuple[str, ...], file: Path | None, force: str | None, deadline: str | None) -> None:
    """Ask the running endpoint: `podium score '{"bmi": 0.05}'`, or `--file rows.csv` for many.

    Prints one line of JSON for an answer; with --file one for each row, in the file's order.
    """
    run, url = _running()
    body = _body(words, run.endpoint, file)
    headers = {"content-type": "application/json"}
    headers |= {"podium-force": force} if force else {}
    headers |= {"podium-deadline": deadline} if deadline else {}
    with closing(_Gateway(url, f"/score/{run.endpoint}", headers)) as gateway:
        if file is None:
            click.echo(gateway.ask(body or "").decode())
        else:
            _score_file(gateway, file, run.inputs)


def _body(words: tuple[str, ...], endpoint: str, file: Path | None) -> str | None:
    """The JSON among the words; an endpoint, if given, must be the one that runs here."""
    wanted = 1 if file is None else 0
    if len(words) == wanted + 1:
        if words[0] != endpoint:
            raise NotFound(f"no endpoint {words[0]!r} here; there is {endpoint!r}")
        words = words[1:]
    if len(words) != wanted:
        raise click.UsageError(
            "give one row of JSON, as in podium score '{\"bmi\": 0.05}', or --file rows.csv"
        )
    return words[0] if words else None


def _running() -> tuple[Run, str]:
    project = projects.load(projects.find(Path.cwd()))
    state = running(project.run_dir)
    return runs.load(project.run_dir / RUN), state.url


class _Gateway:
    """One connection to the running gateway."""

    def __init__(self, url: str, path: str, headers: dict[str, str]) -> None:
        address = urlsplit(url)
        self._connection = http.client.HTTPConnection(
            address.hostname or "127.0.0.1", address.port, timeout=TIMEOUT
        )
        self._path = path
        self._headers = headers

    def ask(self, body: str) -> bytes:
        """The answer's body. Raises Refused with the gateway's explanation, NotRunning."""
        try:
            self._connection.request("POST", self._path, body.encode(), self._headers)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise NotRunning(f"the gateway does not answer ({error}); see `podium status`") from None
        if response.status != 200:
            raise Refused(_explanation(response.status, content))
        return content

    def close(self) -> None:
        self._connection.close()


def _explanation(status: int, content: bytes) -> str:
    try:
        problem = json.loads(content)
    except ValueError:
        return f"the gateway says {status}"
    detail = problem.get("detail", problem.get("title"))
    expected = problem.get("expected")
    return f"{detail} ({expected})" if expected else detail


# --- many rows ------------------------------------------------------------------------------


def _score_file(gateway: _Gateway, file: Path, inputs: Schema) -> None:
    began = time.monotonic()
    count = 0
    for batch in _batches(_rows(file, inputs)):
        reply = json.loads(gateway.ask(json.dumps(batch)))
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
    with file.open(newline="", encoding="utf-8-sig") as lines:
        table = csv.DictReader(lines)
        known = [name for name in table.fieldnames or () if name in inputs]
        if not known:
            raise ProjectError(f"{file}: no column is an input of the endpoint; its inputs are {inputs}")
        if ignored := [name for name in table.fieldnames or () if name not in inputs]:
            click.echo(f"not inputs, left out: {', '.join(ignored)}", err=True)
        for row in table:
            yield {name: _value(inputs, name, row[name], f"{file}:{table.line_num}") for name in known}


def _value(inputs: Schema, name: str, text: str | None, where: str) -> Any:
    field = inputs[name]
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
        raise ProjectError(f"{where}: {name} is {text!r}, expected {field}") from None
