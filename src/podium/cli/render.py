"""`podium render`: what runs elsewhere, as files to read, to keep and to apply."""

from __future__ import annotations

import click

from podium.cli.render_azure import azure


@click.group()
def render() -> None:
    """Write what a cluster or a cloud needs to run the endpoint."""


render.add_command(azure)
