"""Packing what is no Python module: `podium.toml` says what it takes and gives, and it is run as it is."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from podium.errors import ModelFailed, PackageError, ProjectError
from podium.models import commands, requirements
from podium.models.digest import digest_of
from podium.models.examples import Examples, examples_of
from podium.models.formats.base import EXACT, SINGLE_RELATIVE, Allowed
from podium.models.manifest import Manifest, Revision, Tolerance
from podium.models.modules import CODE
from podium.models.revision import revision_of
from podium.models.sealing import Packed, seal
from podium.models.values import fingerprint, from_json
from podium.project import Command, Project, Query
from podium.schema import Columns, Schema, same_shape
from podium.servers import Server


@dataclass(frozen=True, kw_only=True)
class Described:
    """What a model takes and gives, and rows that it can score: of types alone, a row of zeros."""

    model: str
    inputs: Schema
    outputs: Schema
    examples: Examples


def described(project: Project, model: str, champion: Manifest | None) -> Described:
    """By the model's own `inputs` and `outputs`, else the endpoint's, else the champion's.

    Raises ProjectError where nobody says it, and for examples that do not fit.
    """
    own, endpoint = project.models[model], project.endpoint
    inputs = own.inputs or project.inputs or (_without_ranges(champion.inputs) if champion else None)
    outputs = own.outputs or endpoint.outputs or (_without_ranges(champion.outputs) if champion else None)
    if inputs is None or outputs is None:
        missing = "inputs" if inputs is None else "outputs"
        first = project.champion.name
        way = f", or train the champion, {first}, first" if first != model else ""
        raise ProjectError(
            f"{model}: nobody says its {missing}: write [endpoint.{missing}] or "
            f"[models.{model}.{missing}]{way}"
        )
    return Described(
        model=model, inputs=inputs, outputs=outputs, examples=_examples(model, inputs, own.examples)
    )


def _without_ranges(schema: Schema) -> Schema:
    """What the champion saw in training is no part of this model: it must not make another version."""
    return Schema(
        tuple(msgspec.structs.replace(field, minimum=None, maximum=None) for field in schema.fields)
    )


def _examples(model: str, inputs: Schema, rows: Sequence[Mapping[str, Any]]) -> Examples:
    if not rows:
        return examples_of(inputs)
    lists: dict[str, list[Any]] = {field.name: [] for field in inputs.fields}
    for row in rows:
        if unknown := [name for name in row if name not in inputs]:
            raise ProjectError(f"{model}: examples: {unknown[0]!r} is no input{inputs.nearest(unknown[0])}")
        for field in inputs.fields:
            if field.name not in row and not field.optional:
                raise ProjectError(f"{model}: examples: a row has no {field.name!r}; expected {field}")
            lists[field.name].append(row.get(field.name, field.default))
    return Examples(inputs=inputs, columns=_columns(model, inputs, lists))


def _columns(model: str, inputs: Schema, lists: dict[str, list[Any]]) -> dict[str, np.ndarray]:
    try:
        columns = from_json(inputs, lists)
    except (ValueError, TypeError, OverflowError) as error:
        raise ProjectError(f"{model}: examples: {error}; expected {inputs}") from None
    for field in inputs.fields:
        if not same_shape(field.shape, columns[field.name].shape[1:]):
            raise ProjectError(f"{model}: examples: {field.name!r} has another shape; expected {field}")
    return columns


# --- a command ------------------------------------------------------------------------------


def pack_command(said: Described, command: Command, *, root: Path, into: Path) -> Packed:
    """Pack a command and the project's files that it needs; its answers are what it says when it runs.

    Raises ProjectError for what cannot be packed or built, PackageError where it does not answer.
    """
    with _explained(said, into):
        kept = _gathered(said, command, root, into)
        return _pack_command(said, kept, into, "process", _answers_in_lines)


Ask = Callable[[Path, Manifest, commands.Kept, Columns], Columns]
"""Starts the command of a package and asks it for its answers. Raises ModelFailed or PackageError."""


def pack_worker(said: Described, command: Command, *, root: Path, into: Path, ask: Ask) -> Packed:
    """Pack a command that is a worker on the stream; `ask` brings it its examples there.

    Raises ProjectError for what cannot be packed or built, PackageError where it does not answer.
    """
    with _explained(said, into):
        kept = _gathered(said, command, root, into)
        return _pack_command(said, kept, into, "stream", ask)


def _answers_in_lines(package: Path, manifest: Manifest, kept: commands.Kept, columns: Columns) -> Columns:
    from podium.models.formats.process import started  # the format that was chosen

    runtime = started(package, manifest, kept, first=columns, allowed=Allowed())
    try:
        return runtime.predict(columns)
    finally:
        runtime.close()


def _gathered(said: Described, command: Command, root: Path, into: Path) -> commands.Kept:
    folder = into / CODE
    folder.mkdir()
    try:
        kept = commands.gather(command, root=root, into=folder)
    except ProjectError as error:
        raise ProjectError(f"{said.model}: {error}") from None
    kept.write(into)
    return kept


def _pack_command(said: Described, kept: commands.Kept, into: Path, format: str, ask: Ask) -> Packed:
    folder = into / CODE
    manifest = _manifest(said, format, revision=_revision(folder, kept.argv))
    before = digest_of(into)
    answers = _answers(said, partial(ask, into, manifest, kept))
    if digest_of(into) != before:
        raise PackageError(
            f"{said.model}: the command writes into its own folder; a package cannot change, so let it "
            "write elsewhere"
        )
    what = "a worker on the stream" if format == "stream" else "a command"
    why = f"it is {what}, {' '.join(kept.argv)}"
    return _sealed(into, manifest, said, answers, libraries=[], why=why)


def _revision(folder: Path, argv: tuple[str, ...]) -> Revision:
    """Over the command line and all files, since each of them may be the model."""
    files = digest_of(folder) if any(path.is_file() for path in folder.rglob("*")) else ""
    return Revision(module=hashlib.sha256("\0".join([*argv, files]).encode()).hexdigest())


# --- SQL ------------------------------------------------------------------------------------


def pack_sql(said: Described, query: Query, *, into: Path) -> Packed:
    """Pack a file of SQL with its parameters. Raises PackageError where DuckDB refuses it."""
    from podium.models.formats import sql  # needs DuckDB

    with _explained(said, into):
        sql.keep(query, into)
        manifest = _manifest(said, "sql", revision=revision_of(query.file), libraries=["duckdb"])
        answers = _answers(said, sql.open(into, manifest, Allowed()).predict)
        return _sealed(into, manifest, said, answers, libraries=["duckdb"], why="it is SQL, run by DuckDB")


# --- a server -------------------------------------------------------------------------------

_NEAR = Tolerance(relative=SINGLE_RELATIVE, absolute=1e-9)
"""Many servers compute in single precision, and may do so on another machine the next time."""


def pack_server(said: Described, server: Server, *, into: Path) -> Packed:
    """Pack a server's address with what it answers now. Raises PackageError where it does not answer."""
    from podium.models.formats.server import keep, started  # the format that was chosen

    with _explained(said, into):
        kept = keep(server, into)
        revision = Revision(module=hashlib.sha256(kept).hexdigest())
        manifest = _manifest(said, "server", revision=revision, tolerance=_NEAR)
        runtime = started(server, manifest, Allowed(), seconds=0.0)
        try:
            answers = _answers(said, runtime.predict)
        finally:
            runtime.close()
        why = f"it is served at {server.url}, in the protocol {server.protocol}"
        return _sealed(into, manifest, said, answers, libraries=[], why=why)


# --- what all have in common ----------------------------------------------------------------


@contextmanager
def _explained(said: Described, into: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PackageError(f"{said.model} cannot be packed in {into}: {error.strerror}") from error


def _answers(said: Described, predict: Callable[[Columns], Columns]) -> Columns:
    try:
        return predict(said.examples.columns)
    except ModelFailed as error:
        what = (
            "a row of zeros (give rows in `examples` if that is no row)"
            if said.examples.declared
            else "examples"
        )
        raise PackageError(f"{said.model} does not answer {what}: {error}") from None


def _manifest(
    said: Described,
    format: str,
    *,
    revision: Revision,
    libraries: Sequence[str] = (),
    tolerance: Tolerance = EXACT,
) -> Manifest:
    return Manifest(
        model=said.model,
        format=format,
        inputs=said.inputs,
        outputs=said.outputs,
        metrics={},
        tolerance=tolerance,
        data=fingerprint(said.inputs, said.examples.columns),
        revision=revision,
        python=platform.python_version(),
        libraries=requirements.versions(libraries),
    )


def _sealed(
    into: Path, manifest: Manifest, said: Described, answers: Columns, *, libraries: Sequence[str], why: str
) -> Packed:
    return seal(into, manifest, inputs=said.examples.columns, answers=answers, libraries=libraries, why=why)
