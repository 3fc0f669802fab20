"""`podium export`: a table to train on, of what the models saw and what came of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from podium.archive.export import FORMATS, Export, Exported
from podium.cli.control import give_way, project_here
from podium.cli.endpoints import check_endpoint
from podium.period import Period


@click.command()
@click.argument("endpoint", required=False)
@click.option("--since", required=True, help="How long ago (7d, 1h), a day or a time, in UTC.")
@click.option("--until", help="The same; without it, now.")
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="The file: NAME.parquet or NAME.csv.",
)
@click.option("--with-scores", is_flag=True, help="Also what each contender said, live or replayed.")
@click.option("--json", "as_json", is_flag=True, help="What was written, as one JSON document.")
def export(
    endpoint: str | None, *, since: str, until: str | None, out: Path, with_scores: bool, as_json: bool
) -> None:
    """Write what the models saw, what was answered and what really happened, with weights."""
    if out.suffix not in FORMATS:
        raise click.BadParameter(f"{out.name!r} ends in none of {', '.join(FORMATS)}", param_hint="--out")
    period = Period.parse(since, until, now=datetime.now(UTC))
    project = project_here()
    check_endpoint(endpoint, project.name)
    give_way()
    found = Export(
        archive=project.archive.location, endpoint=project.name, period=period, with_scores=with_scores
    ).write(out)
    click.echo(msgspec.json.encode(found).decode() if as_json else _words(found, period))


def _words(found: Exported, period: Period) -> str:
    lines = [f"{found.file}: {found.rows:,} rows from {period}, {found.with_outcome:,} with an outcome"]
    if found.with_outcome and found.unrepresented:
        lines.append(
            f"  {found.unrepresented:,} rows are of a version, rule and day without any outcome: "
            "no weight stands for them"
        )
    return "\n".join(lines)
