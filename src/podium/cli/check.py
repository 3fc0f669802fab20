"""`podium check`: does a model keep the rules of its door?"""

from __future__ import annotations

import logging
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from podium import project as projects
from podium.cli import outside
from podium.cli.models import champion_of
from podium.errors import ProjectError
from podium.models import commands
from podium.models.checks import Check, Report, Verdict
from podium.models.declared import Described, described
from podium.models.examples import examples_of
from podium.models.process.child import Launch
from podium.models.process.conformance import Suite
from podium.models.server.conformance import Suite as ServerSuite
from podium.models.server.doors import door_of
from podium.project import Project
from podium.registry.folder import FolderRegistry
from podium.schema import Schema, did_you_mean
from podium.servers import Server


@click.command()
@click.argument("model", required=False)
@click.option("--command", help="Check this command line, in this folder, instead of a project's model.")
@click.option("--input", "inputs", multiple=True, metavar="NAME=TYPE", help="With --command: what it takes.")
@click.option(
    "--output", "outputs", multiple=True, metavar="NAME=TYPE", help="With --command: what it gives."
)
@click.option("--stream", is_flag=True, help="With --command: it is a worker on the stream.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def check(
    *,
    model: str | None,
    command: str | None,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    stream: bool,
    as_json: bool,
) -> None:
    """Check that a model with a `command` or a `url` keeps its protocol; exit status 1 when it does not."""
    logging.basicConfig(format="%(message)s", level=logging.ERROR)
    if (model is None) == (command is None):
        raise click.UsageError("name a model of the project, or give a --command")
    if stream and command is None:
        raise click.UsageError("--stream goes with --command; podium.toml says it of its models")
    if command is not None:
        _tell(command, _of_command(command, inputs, outputs, stream), as_json)
        return
    assert model is not None
    with _of_model(model) as made:
        _tell(model, made, as_json)


def _of_command(
    command: str, inputs: tuple[str, ...], outputs: tuple[str, ...], stream: bool
) -> Iterator[Check]:
    argv = tuple(shlex.split(command))
    if not (argv and inputs and outputs):
        raise click.UsageError("--command needs at least one --input and one --output, as in bmi=float")
    examples = examples_of(_typed(inputs))
    launch = Launch(name=argv[0], argv=argv, folder=Path.cwd(), in_place=True)
    if stream:
        return outside.checks(launch, _schema(outputs), examples)
    return Suite(launch, examples.inputs, _schema(outputs), examples, packed=False).run()


def _typed(fields: tuple[str, ...]) -> dict[str, str]:
    pairs = [field.partition("=") for field in fields]
    for name, _, kind in pairs:
        if not name or not kind:
            raise click.UsageError(f"{name!r} has no type; write NAME=TYPE, as in bmi=float")
    return {name: kind for name, _, kind in pairs}


def _schema(fields: tuple[str, ...]) -> Schema:
    return examples_of(_typed(fields)).inputs


@contextmanager
def _of_model(name: str) -> Iterator[Iterator[Check]]:
    """The checks of a model of the project; a command's in a folder like that of its package."""
    project = projects.load(projects.find(Path.cwd()))
    if name not in project.models:
        near = did_you_mean(name, list(project.models))
        raise ProjectError(
            f"there is no model {name!r}{near}; {projects.FILE} has {', '.join(project.models)}"
        )
    command, server = project.models[name].command, project.models[name].server
    if command is None and server is None:
        raise ProjectError(
            f"{name} has neither a `command` nor a `url`: there is nothing to check that "
            f"`podium train {name}` does not"
        )
    said = described(project, name, champion_of(project, FolderRegistry(project.registry_dir)))
    if server is not None:
        yield _of_server(project, said, server)
        return
    assert command is not None
    with tempfile.TemporaryDirectory(prefix="podium-") as folder:
        kept = commands.gather(command, root=project.folder, into=Path(folder))
        launch = Launch(name=name, argv=kept.argv, folder=Path(folder))
        if command.stream:
            yield outside.checks(launch, said.outputs, said.examples)
        else:
            yield Suite(launch, said.inputs, said.outputs, said.examples, packed=True).run()


def _of_server(project: Project, said: Described, server: Server) -> Iterator[Check]:
    connections = project.models[said.model].worker.threads
    door = door_of(server, said.inputs, said.outputs)
    return ServerSuite(server.url, door, said.outputs, said.examples, connections=connections).run()


def _tell(subject: str, checks: Iterator[Check], as_json: bool) -> None:
    done = []
    for made in checks:  # each as soon as it is known
        done.append(made)
        if not as_json:
            click.echo(_line(made))
    report = Report.of(subject, done)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report)).decode())
    else:
        failed = sum(made.verdict is Verdict.FAILED for made in done)
        click.echo(f"\n{subject}: " + (f"{failed} of {len(done)} checks failed" if failed else "all is well"))
    if not report.ok:
        raise SystemExit(1)


def _line(made: Check) -> str:
    todo = f"\n         -> {made.todo}" if made.todo else ""
    return f"{made.verdict.value:<8} {made.name}: {made.said}{todo}"
