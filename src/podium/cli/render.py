"""`podium render`: what containers, a cluster or a cloud need, as files to read, to keep and to apply."""

from __future__ import annotations

from pathlib import Path

import click

from podium.cli.clusters import plan_here, run_here
from podium.cli.control import project_here
from podium.cli.render_azure import azure
from podium.cli.render_docker import docker
from podium.cli.render_monitoring import grafana, prometheus
from podium.cli.writing import write_files
from podium.cluster.chart import chart
from podium.cluster.manifests import manifests
from podium.cluster.plan import ClusterPlan
from podium.environment import text_of
from podium.project import FILE
from podium.yaml_text import yaml


@click.group()
def render() -> None:
    """Write what containers, a cluster, a cloud or monitoring need of the endpoint."""


render.add_command(azure)
render.add_command(docker)
render.add_command(grafana)
render.add_command(prometheus)


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
    write_files(out, files)
    click.echo(f"{len(files)} files in {out}: {', '.join(files)}")
    click.echo(_secrets_words(plan))


@render.command()
def settings() -> None:
    """The settings file of the gateway's image, to the screen; no secret is in it."""
    click.echo(text_of(run_here(project_here(), f"{FILE}, rendered")), nl=False)


def _secrets_words(plan: ClusterPlan) -> str:
    """Which Secrets must be there, since no file holds any."""
    wanted = [f"{plan.stream_secret} (url{', password' if plan.own_stream else ''})"]
    if plan.own_stream and not plan.settings.issuer:
        wanted.append(f"{plan.tls_secret} (tls.crt, tls.key, ca.crt)")
    if plan.settings.archive_secret:
        wanted.append(plan.settings.archive_secret)
    return f"Secrets that namespace {plan.namespace} needs: {', '.join(wanted)} (docs/guide/kubernetes.md)"
