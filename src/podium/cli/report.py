"""`podium report`: what became of an endpoint's requests, from the archive alone."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import msgspec

from podium.archive.usage.sums import usage
from podium.archive.usage.update import update
from podium.cli.control import give_way, project_here
from podium.cli.endpoints import check_endpoint
from podium.cli.sections import show
from podium.period import Period
from podium.reports.usage import headline, sections


@click.command()
@click.argument("endpoint", required=False)
@click.option("--since", default="7d", show_default=True, help="How long ago (1h), a day or a time, in UTC.")
@click.option("--until", help="The same; without it, now.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def report(endpoint: str | None, *, since: str, until: str | None, as_json: bool) -> None:
    """Say who called, which model answered and why, how fast, how often not, and how wrong it was.

    Whole hours count.
    """
    period = Period.parse(since, until, now=datetime.now(UTC))
    project = project_here()
    check_endpoint(endpoint, project.name)
    give_way()
    archive = project.archive.location
    updated = update(archive, project.name, tolerance=project.endpoint.agreement)
    found = usage(archive, project.name, period, is_current=updated.is_current)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        show(headline(found), sections(found))
