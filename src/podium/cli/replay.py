"""`podium replay`: archived requests through a version that was not there when they came."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from podium.cli.control import give_way, project_here
from podium.cli.endpoints import check_endpoint
from podium.cli.policy import endpoint_and_model
from podium.models import manifest
from podium.models.loading import Scorer, load
from podium.models.trust import Trust
from podium.period import Period, shown
from podium.project import Project
from podium.records import Contender, Role
from podium.registry.folder import FolderRegistry
from podium.run import WorkerSettings
from podium.workers.replay import Endpoint, Replay, Report

PLAIN_SECONDS = 5.0
ERRORS_SHOWN = 5


class Rate(click.ParamType[float]):
    """Requests a second, as `500/s` or `500`."""

    name = "N/s"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            found = float(str(value).removesuffix("/s"))
        except ValueError:
            found = 0.0
        if not 0 < found < float("inf"):
            self.fail(f"{value!r} is no rate: expected requests a second, as in 500/s", param, ctx)
        return found


@click.command()
@click.argument("named", nargs=-1, required=True, metavar="[ENDPOINT] MODEL[@VERSION]")
@click.option("--since", required=True, help="How long ago (7d, 1h), a day or a time, in UTC.")
@click.option("--until", help="The same; without it, now.")
@click.option("--rate", type=Rate(), help="At most so many requests a second, e.g. 500/s.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many requests, from the first on.")
@click.option("--missing", is_flag=True, help="Only requests without a replayed score of this version.")
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON document.")
def replay(
    named: tuple[str, ...],
    *,
    since: str,
    until: str | None,
    rate: float | None,
    limit: int | None,
    missing: bool,
    as_json: bool,
) -> None:
    """Score archived requests with a version that was not there; live traffic is not touched.

    The scores are archived as replayed, for `podium compare`.
    """
    period = Period.parse(since, until, now=datetime.now(UTC))
    project = project_here()
    endpoint, name = endpoint_and_model(named)
    check_endpoint(endpoint, project.name)
    model, _, number = name.partition("@")
    version = FolderRegistry(project.registry_dir).find(model, number or None)
    give_way()
    settings = project.models[version.model].worker if version.model in project.models else WorkerSettings()
    scorer = load(version.path, trust=Trust.load(), threads=settings.threads)
    with _progress() as tell:
        report = Replay(
            _endpoint(project, scorer),
            Contender(
                model=version.model, version=version.short, number=version.number, role=Role.CHALLENGER
            ),
            scorer,
            period,
            within=scorer.manifest.tolerance,
            rate=rate,
            limit=limit,
            missing=missing,
            batch_rows=settings.batch_rows,
            tell=tell,
        ).run()
    click.echo(msgspec.json.encode(_document(report)).decode() if as_json else words(report, project))


def _endpoint(project: Project, scorer: Scorer) -> Endpoint:
    """What the project declares, else what its champion takes and gives."""
    champion = scorer.manifest
    if project.inputs is None or project.endpoint.outputs is None:
        chosen = project.champion
        champion = manifest.read(FolderRegistry(project.registry_dir).find(chosen.name, chosen.version).path)
    return Endpoint(
        name=project.name,
        archive=project.archive.location,
        inputs=project.inputs or champion.inputs,
        outputs=project.endpoint.outputs or champion.outputs,
    )


# --- what is said ---------------------------------------------------------------------------


@contextmanager
def _progress() -> Iterator[Callable[[Report], None]]:
    """A bar on a terminal, a line now and then elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("replaying", total=None, rate="")

        def tell(report: Report) -> None:
            done = report.read + report.present
            progress.update(task, completed=done, total=report.of, rate=f"{report.rate:,.0f}/s")

        yield tell


class _Lines:
    def __init__(self) -> None:
        self._next = time.monotonic() + PLAIN_SECONDS

    def __call__(self, report: Report) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + PLAIN_SECONDS
            click.echo(f"{report.read:,} of {report.of:,} requests, {report.rate:,.0f}/s", err=True)


def _document(report: Report) -> dict[str, object]:
    found: dict[str, object] = msgspec.to_builtins(report)
    found |= {"failed": report.failed, "rate": round(report.rate, 1)}
    if (same := report.agreement) is not None:
        found["agreement"] = {**msgspec.to_builtins(same), "different": same.different}
    return found


def words(report: Report, project: Project) -> str:
    name = f"{report.model}@{report.version}"
    lines = [
        f"{name} scored {report.scored:,} of {report.read:,} requests that came from {shown(report.since)} "
        f"to {shown(report.until)}, in {report.seconds:.1f} s ({report.rate:,.0f}/s); "
        f"{report.failed:,} errors"
    ]
    if report.present:
        lines.append(f"  {report.present:,} more have a replayed score of this version from before")
    worst = sorted(report.errors.items(), key=lambda each: -each[1])
    lines += [f"  error  {count:,} × {text}" for text, count in worst[:ERRORS_SHOWN]]
    if (found := report.agreement) is not None and found.rows:
        lines.append(
            f"  live   {found.rows:,} rows have a live score of this version too: {found.equal:,} equal, "
            f"{found.near:,} within the package's tolerance, {found.different:,} different"
        )
        lines += [f"         {d.id} row {d.row}: {d.live} live, {d.replayed} replayed" for d in found.first]
    other = project.champion.name
    if found is not None and found.rows and name.startswith(f"{other}@"):
        other = "OTHER"  # a model's own name means its newest live version, which may be this one
    lines.append(f"\nNext: podium compare {project.name} {other} {name} --since {shown(report.since)}")
    return "\n".join(lines)
