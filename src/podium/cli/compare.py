"""`podium compare`: two contenders on the same requests, from the archive alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from podium import project as projects
from podium.archive.comparing.compare import compare as compared
from podium.archive.comparing.compare import find
from podium.archive.comparing.contenders import Archived, Numbers
from podium.archive.comparing.lake import opened
from podium.cli.endpoints import without_endpoint
from podium.cli.sections import show
from podium.errors import PackageError
from podium.models import manifest as manifests
from podium.period import Period
from podium.project import Project
from podium.registry.base import Version
from podium.registry.folder import FolderRegistry
from podium.reports.comparison import headline, sections
from podium.toml_tables import parse_part
from podium.trials.comparison import Comparison

EARLIEST = "1970-01-01"


@click.command()
@click.argument("words", nargs=-1, metavar="[ENDPOINT] A B")
@click.option("--since", help="From when on: 1h, 7d (ago), 2026-11-01, 2026-11-01T08:30Z. Without it: all.")
@click.option("--until", help="Up to when, in the same words; without it: now.")
@click.option("--tolerance", help="How far numbers that agree may be apart: 5%. Without it, podium.toml's.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option(
    "--html", "page", type=click.Path(dir_okay=False, path_type=Path), help="Also a page with plots."
)
def compare(  # noqa: PLR0917 - click gives them by name
    words: tuple[str, ...],
    since: str | None,
    until: str | None,
    tolerance: str | None,
    as_json: bool,
    page: Path | None,
) -> None:
    """Compare B with A on the requests that both have scored: MODEL or MODEL@VERSION, live or replayed."""
    project = projects.load(projects.find(Path.cwd()))
    found = without_endpoint(words, 2, project.name)
    if found is None:
        raise click.UsageError("name the two to compare, as in `podium compare linear forest@2`")
    a, b = found
    allowed = _tolerance(tolerance, project)
    period = None
    if since or until:
        period = Period.parse(since or EARLIEST, until, now=datetime.now(UTC))
    comparison = read(project, a, b, period=period, tolerance=allowed)
    if page is not None:
        _write(page, comparison)
    if as_json:
        click.echo(msgspec.json.encode(comparison).decode())
    else:
        show(headline(comparison), sections(comparison))


def read(project: Project, a: str, b: str, *, period: Period | None, tolerance: float) -> Comparison:
    """The comparison, from the archive of this project. Raises ArchiveError, NotFound, MissingExtra."""
    versions = FolderRegistry(project.registry_dir).versions()
    since = period.first_day if period else None
    with opened(project.archive.location, project.name, since=since) as lake:
        found = find(lake, a, b, numbers=_numbers(versions), period=period)
        classes = _classes(versions, (found.b, found.a))
        return compared(lake, project.name, found, tolerance=tolerance, classes=classes)


def _tolerance(said: str | None, project: Project) -> float:
    if said is None:
        return project.endpoint.agreement
    part = parse_part(said)
    if part is None:
        raise click.BadParameter(f"{said!r} is no part: write as in 5%", param_hint="--tolerance")
    return part


def _numbers(versions: Sequence[Version]) -> Numbers:
    return {(version.model, version.short): version.number for version in versions}


def _classes(versions: Sequence[Version], contenders: Sequence[Archived]) -> Mapping[str, Sequence[str]]:
    """The classes of each output of probabilities; a version that is not in this registry tells none."""
    found: dict[str, Sequence[str]] = {}
    wanted = {(one.model, one.version) for one in contenders}
    for version in versions:
        if (version.model, version.short) in wanted:
            with suppress(PackageError):
                outputs = manifests.read(version.path).outputs
                found |= {field.name: field.classes for field in outputs.fields if field.classes}
    return found


def _write(page: Path, found: Comparison) -> None:
    from podium.reports.page import render  # needs an extra, and only a page does

    html = render(found)
    try:
        page.write_text(html)
    except OSError as error:
        raise click.BadParameter(f"{page} cannot be written: {error.strerror}", param_hint="--html") from None
    click.echo(f"written: {page}", err=True)
