"""`podium render prometheus` and `grafana`: rules, alerts and a dashboard of the endpoint."""

from __future__ import annotations

import json
from pathlib import Path

import click

from podium.cli.control import project_here
from podium.monitoring.dashboard import dashboard
from podium.monitoring.rules import rule_file
from podium.yaml_text import yaml

OUT = click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write a file, not to the screen."
)


@click.command()
@OUT
def prometheus(out: Path | None) -> None:
    """Recording and alert rules for Prometheus."""
    _give(yaml([rule_file(project_here())]), out)


@click.command()
@OUT
def grafana(out: Path | None) -> None:
    """A dashboard for Grafana, over the series that the rules record."""
    _give(json.dumps(dashboard(project_here()), indent=2) + "\n", out)


def _give(text: str, out: Path | None) -> None:
    if out is None:
        click.echo(text, nl=False)
        return
    out.write_text(text)
    click.echo(f"written: {out}")
