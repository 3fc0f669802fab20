"""`podium new`: a project that works at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from podium.errors import ProjectError
from podium.project import NAME

TEMPLATE = "template"
ENDPOINT = "diabetes"
"""The name that the template's files use."""

_RENAMED = {"gitignore": ".gitignore"}
"""As dot files some of the template's would be hidden from the tools that build the wheel."""


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def new(folder: Path) -> None:
    """Make a project in DIR: the diabetes models, behind one endpoint, with tests."""
    target = folder.resolve()
    name = target.name if NAME.fullmatch(target.name) else ENDPOINT
    _write(target, name)
    click.echo(f"{folder} is a project with an endpoint {name!r} and three models. Next:\n")
    if target != Path.cwd():
        click.echo(f"  cd {folder}")
    click.echo("  podium train   # trains and packs the models")
    click.echo("  podium up      # runs the endpoint; then, from another terminal:")
    click.echo(f"  curl 'localhost:8080/score/{name}?bmi=0.05'")


def _write(target: Path, name: str) -> None:
    """Copy the template. Raises ProjectError where there is something already."""
    try:
        target.mkdir(parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise ProjectError(f"{target} is not empty: choose a folder that is, or that does not exist yet")
        for source, path in _files(resources.files("podium.cli") / TEMPLATE, Path()):
            file = target / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(_named(source.read_text(encoding="utf-8"), path, name), encoding="utf-8")
    except OSError as error:
        raise ProjectError(f"{target} cannot be written: {error.strerror}") from None


def _files(folder: Traversable, path: Path) -> Iterator[tuple[Traversable, Path]]:
    for source in folder.iterdir():
        if source.is_dir() and source.name != "__pycache__":  # of an installer that compiles all it finds
            yield from _files(source, path / source.name)
        elif source.is_file():
            yield source, path / _RENAMED.get(source.name, source.name)


def _named(text: str, path: Path, name: str) -> str:
    """The endpoint is named after the folder, in the files that mention it as an endpoint."""
    if path.name not in ("podium.toml", "README.md"):
        return text
    return re.sub(rf'(name = "|score[/ ]|status ){ENDPOINT}', rf"\g<1>{name}", text)
