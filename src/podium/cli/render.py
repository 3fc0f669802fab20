"""`podium render`: what a cluster or a cloud needs, as files to read, to keep and to apply."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from podium.cli.clusters import plan_here, run_here
from podium.cli.control import project_here
from podium.cli.render_azure import azure
from podium.cluster.chart import chart
from podium.cluster.documents import yaml
from podium.cluster.manifests import manifests
from podium.cluster.plan import ClusterPlan, settings_text
from podium.errors import ProjectError


@click.group()
def render() -> None:
    """Write what containers, a cluster or a cloud need to run the endpoint."""


render.add_command(azure)


@render.command()
@click.option("--namespace", help="Instead of podium.toml's.")
@click.option("--images", help="Registry and folder of the images, instead of podium.toml's.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write files into this folder, not to the screen."
)
@click.option("--helm", is_flag=True, help="A Helm chart; needs --out.")
def kubernetes(namespace: str | None, images: str | None, out: Path | None, helm: bool) -> None:
    """Kubernetes objects, as plain YAML."""
    if helm and out is None:
        raise click.UsageError("a chart is several files: say where with --out DIR")
    plan = plan_here(project_here(), namespace=namespace, images=images)
    if out is None:
        click.echo(yaml(each for objects in manifests(plan).values() for each in objects), nl=False)
        return
    files = chart(plan) if helm else {name: yaml(objects) for name, objects in manifests(plan).items()}
    _write(out, files)
    click.echo(f"{len(files)} files in {out}: {', '.join(files)}")
    click.echo(_secrets_words(plan))


@render.command()
def settings() -> None:
    """The settings file of the gateway's image, to the screen; no secret is in it."""
    click.echo(settings_text(run_here(project_here())), nl=False)


def _write(out: Path, files: Mapping[str, str]) -> None:
    """Raises ProjectError where there is something else already: a stale file would be applied too."""
    there = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    if strange := sorted(there - files.keys()):
        raise ProjectError(f"{out} holds {strange[0]}, which is not of this: empty it, or give another --out")
    for name, content in files.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def _secrets_words(plan: ClusterPlan) -> str:
    """Which Secrets must be there, since no file holds any."""
    wanted = [f"{plan.stream_secret} (url{', password' if plan.own_stream else ''})"]
    if plan.own_stream and not plan.settings.issuer:
        wanted.append(f"{plan.tls_secret} (tls.crt, tls.key, ca.crt)")
    if plan.settings.archive_secret:
        wanted.append(plan.settings.archive_secret)
    return f"Secrets that namespace {plan.namespace} needs: {', '.join(wanted)} (docs/guide/kubernetes.md)"
