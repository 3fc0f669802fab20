"""`podium train` and `podium models`: versions are made, and listed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from podium import project as projects
from podium.cli.artifacts import push_version
from podium.cli.build import registry_options
from podium.cli.columns import aligned
from podium.cli.outside import pack_outside
from podium.cli.policy import join_as_challenger
from podium.errors import ProjectError, UnknownVersion
from podium.models import manifest as manifests
from podium.models.declared import described, pack_command, pack_server, pack_sql
from podium.models.formats import FORMATS
from podium.models.manifest import Manifest
from podium.models.packing import pack
from podium.models.sealing import Packed
from podium.models.trust import Trust
from podium.oci.reference import Reference
from podium.oci.repository import Access
from podium.project import ModelSettings, Project
from podium.registry.base import Version
from podium.registry.folder import FolderRegistry
from podium.schema import did_you_mean


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--trust-pickle", is_flag=True, help="Pickle what no safer format holds, and trust the result.")
@click.option(
    "--join", "joins", is_flag=True, help="Let the new version join the running endpoint as challenger."
)
@click.option("--reason", default="", help="With --join: why, for the history.")
@click.option("--push", "pushes", metavar="REGISTRY/PATH", help="Put them there too, as REGISTRY/PATH/MODEL.")
@registry_options
def train(
    *,
    models: tuple[str, ...],
    trust_pickle: bool,
    joins: bool,
    reason: str,
    pushes: str | None,
    ca: Path | None,
    plain_http: bool,
) -> None:
    """Train models, pack them, and put the versions into the registry; without a name, all of them."""
    if joins and len(models) != 1:
        raise click.UsageError("--join is for one model: podium train MODEL --join")
    if reason and not joins:
        raise click.UsageError("--reason goes with --join")
    project = projects.load(projects.find(Path.cwd()))
    chosen = _chosen(project, models)
    registry = FolderRegistry(project.registry_dir)
    trust = Trust.load()  # a broken list is said before anything is trained
    places = {model.name: Reference.parse(f"{pushes}/{model.name}".lower()) for model in chosen if pushes}
    versions = [_train(project, model, registry, trust, trust_pickle) for model in chosen]
    for version in versions:
        if version.model in places:
            place = replace(places[version.model], tag=version.short)
            push_version(project, version, place, None, Access(ca=ca, plain=plain_http))
    if joins:
        join_as_challenger(f"{versions[0].model}@{versions[0].number}", reason or "trained anew")
        return
    click.echo("\nNext: podium up" if not models else "\nNext: podium models, or podium up")


def _chosen(project: Project, names: tuple[str, ...]) -> list[ModelSettings]:
    for name in names:
        if name not in project.models:
            raise ProjectError(
                f"there is no model {name!r}{did_you_mean(name, list(project.models))}; {projects.FILE} has "
                f"{', '.join(project.models)}"
            )
    chosen = [project.models[name] for name in names or project.models]
    return sorted(chosen, key=lambda model: model.module is None)  # others may need the champion's schema


def _train(
    project: Project, model: ModelSettings, registry: FolderRegistry, trust: Trust, trust_pickle: bool
) -> Version:
    before = {version.digest for version in registry.versions(model.name)}
    with tempfile.TemporaryDirectory(prefix="podium-") as folder, _working(f"training {model.name} …"):
        packed = _packed(project, model, registry, Path(folder), trust_pickle=trust_pickle, trust=trust)
        trusted = _trusted(packed, trust)
        version = registry.put(packed.folder)
    click.echo(f"{model.name} {version.number}  {version.digest}")
    click.echo(f"  metrics  {_metrics(version)}")
    click.echo(f"  format   {version.format}: {packed.why}")
    if version.digest in before:
        click.echo("  nothing new: the same inputs gave the same digest")
    if trusted:
        click.echo(f"  trusted  it runs this project's own code: added to {trust.path}")
    return version


def _packed(
    project: Project,
    model: ModelSettings,
    registry: FolderRegistry,
    into: Path,
    *,
    trust_pickle: bool,
    trust: Trust,
) -> Packed:
    if model.module is not None:
        return pack(
            model.module,
            model=model.name,
            root=project.folder,
            into=into,
            trust_pickle=trust_pickle,
            trust=trust,
        )
    said = described(project, model.name, champion_of(project, registry))
    if model.sql is not None:
        return pack_sql(said, model.sql, into=into)
    if model.server is not None:
        return pack_server(said, model.server, into=into)
    assert model.command is not None  # a model is one of the four
    if model.command.stream:
        return pack_outside(project, said, model.command, into=into)
    return pack_command(said, model.command, root=project.folder, into=into)


def champion_of(project: Project, registry: FolderRegistry) -> Manifest | None:
    """What is known of the champion, whose schema the endpoint may have; None where it is not trained yet."""
    try:
        version = registry.find(project.champion.name, project.champion.version)
    except UnknownVersion:
        return None
    return manifests.read(version.path)


def _trusted(packed: Packed, trust: Trust) -> bool:
    """Trust what was just made here from the user's own module, if loading it runs code."""
    manifest = packed.manifest
    if not FORMATS[manifest.format].runs or trust.allows(manifest.model, packed.digest):
        return False
    trust.add(manifest.model, packed.digest)
    return True


@contextmanager
def _working(message: str) -> Iterator[None]:
    """A sign of life while it lasts on a terminal, a plain line elsewhere."""
    from rich.console import Console  # slow, and `podium models --json` does without

    console = Console(stderr=True)
    if not console.is_terminal:
        click.echo(message, err=True)
        yield
        return
    with console.status(message):
        yield


@click.command(name="models")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def models_command(as_json: bool) -> None:
    """List the versions in the registry."""
    project = projects.load(projects.find(Path.cwd()))
    versions = FolderRegistry(project.registry_dir).versions()
    if as_json:
        click.echo(json.dumps([_as_json(version) for version in versions], indent=2))
    elif versions:
        click.echo(_table(versions))
    else:
        click.echo("there are no versions yet: podium train")


def _as_json(version: Version) -> dict[str, object]:
    return {
        "model": version.model,
        "number": version.number,
        "version": version.short,
        "digest": version.digest,
        "format": version.format,
        "metrics": dict(version.metrics),
        "created": version.created.isoformat(timespec="seconds"),
    }


def _table(versions: list[Version]) -> str:
    rows = [("model", "number", "version", "format", "created", "metrics")]
    rows += [
        (
            version.model,
            str(version.number),
            version.short,
            version.format,
            f"{version.created.astimezone():%Y-%m-%d %H:%M}",
            _metrics(version),
        )
        for version in versions
    ]
    return "\n".join(aligned(rows))


def _metrics(version: Version) -> str:
    return "  ".join(f"{name}={value:.4g}" for name, value in version.metrics.items()) or "none"
