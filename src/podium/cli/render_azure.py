"""`podium render azure`: Azure as code."""

from __future__ import annotations

import re
from pathlib import Path

import click

from podium import project as projects
from podium.azure.templates import LOCATION
from podium.azure.templates import render as templates
from podium.cli.writing import write_files
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
    write_files(out, files)
    click.echo(f"{len(files)} files in {out}; {out / 'README.md'} says what to do with them")
