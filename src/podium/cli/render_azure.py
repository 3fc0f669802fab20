"""`podium render azure`: Azure as code."""

from __future__ import annotations

import re
from pathlib import Path

import click

from podium import project as projects
from podium.azure.templates import LOCATION
from podium.azure.templates import render as templates
from podium.cluster.plan import dns_name
from podium.errors import ProjectError

REGION = re.compile(r"[a-z]+[a-z0-9]*")


@click.command()
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="The folder to write."
)
@click.option("--location", default=LOCATION, show_default=True, help="Azure's region.")
def azure(out: Path, location: str) -> None:
    """Bicep and Terraform for registry, cluster, Service Bus and storage, with a README."""
    if not REGION.fullmatch(location):
        raise ProjectError(
            f"{location!r} is no region; `az account list-locations -o table` shows their names"
        )
    project = projects.load(projects.find(Path.cwd()))
    name = dns_name(project.name)
    namespace = project.kubernetes.namespace or name
    files = templates(project.name, name=name, namespace=namespace, location=location)
    if strange := sorted(_there(out) - files.keys()):
        raise ProjectError(f"{out} holds {strange[0]}, which is not of this: empty it, or give another --out")
    for name, content in files.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    click.echo(f"{len(files)} files in {out}; {out / 'README.md'} says what to do with them")


def _there(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
