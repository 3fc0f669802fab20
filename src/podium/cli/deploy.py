"""`podium deploy`: the endpoint of the project here onto a cluster, and to the end of its rollout."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace

import click
from msgspec import structs

from podium.cli.cluster_pods import gateways, kept, name_of
from podium.cli.clusters import plan_here
from podium.cli.control import project_here
from podium.cluster import deploying, stream
from podium.cluster.api import Cluster
from podium.cluster.contenders import COMPONENT as WORKER
from podium.cluster.manifests import manifests
from podium.cluster.plan import ClusterPlan, Object, metadata
from podium.cluster.progress import is_ready
from podium.errors import ClusterError
from podium.node.guarding import is_off
from podium.project import FILE
from podium.records import Policy
from podium.rendezvous.changes import differences


@click.command()
@click.option("--context", help="Of the kubeconfig, instead of its current one.")
@click.option("--namespace", help="Instead of podium.toml's.")
@click.option("--images", help="Registry and folder of the images, instead of podium.toml's.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
def deploy(context: str | None, namespace: str | None, images: str | None, dry_run: bool) -> None:
    """Run the endpoint on Kubernetes: apply what is new, wait until it answers, remove what left."""
    plan = plan_here(project_here(), namespace=namespace, images=images)
    with Cluster(context) as cluster:
        plan = as_live(cluster, plan)
        objects = [each for file in manifests(plan).values() for each in file]
        if dry_run:
            _show(cluster, plan, objects)
        else:
            _deploy(cluster, plan, objects)


def as_live(cluster: Cluster, plan: ClusterPlan) -> ClusterPlan:
    """With the contenders of the live policy, if there is one: as with `podium up`, it wins over the file."""
    live = live_policy(cluster, plan)
    if live is None:
        return plan
    for line in differences(live, structs.replace(plan.run.policy, revision=live.revision)):
        click.echo(f"{FILE} would have: {line} (`podium apply --context {cluster.name}` does that)")
    return replace(plan, run=structs.replace(plan.run, policy=live))


def live_policy(cluster: Cluster, plan: ClusterPlan) -> Policy | None:
    """The newest revision; None where none is kept yet, or no gateway is well enough to say."""
    if not (asked := gateways(cluster, plan)):
        return None
    try:
        policies = kept(cluster, plan, name_of(asked[0]))
    except ClusterError as error:
        if is_ready(asked[0]):
            raise
        click.echo(f"no gateway can say which policy is live: {error}")  # this deploy may be what mends it
        return None
    return policies[-1] if policies else None


def _deploy(cluster: Cluster, plan: ClusterPlan, objects: list[Object]) -> None:
    deploying.preview(cluster, objects, plan.namespace)  # refused as a whole, or not at all
    missing = _missing(cluster, plan)
    deploying.apply(cluster, objects[:1], plan.namespace, click.echo)  # where the Secret will be
    if plan.own_stream and plan.stream_secret in missing:
        cluster.apply(stream_secret(plan, secrets.token_hex(16)))
        click.echo(f"Secret {plan.stream_secret}: made, with a new password")
    deploying.apply(cluster, objects, plan.namespace, click.echo)
    deploying.wait(cluster, objects, plan.namespace, click.echo)
    deploying.remove(cluster, _left(cluster, plan, objects), plan.namespace, click.echo)
    if not is_off(plan.run.policy.guards):
        click.echo(NO_GUARDS)
    click.echo(f"{plan.run.endpoint} runs in namespace {plan.namespace} of {cluster.name}")


def _show(cluster: Cluster, plan: ClusterPlan, objects: list[Object]) -> None:
    for change in deploying.preview(cluster, objects, plan.namespace):
        for line in change.lines:
            click.echo(line)
    for each in _left(cluster, plan, objects):
        click.echo(f"{deploying.title(each)}: would be removed")


def _left(cluster: Cluster, plan: ClusterPlan, objects: list[Object]) -> list[Object]:
    """What is there and not wanted any more. A contender's objects are that once the live policy does not
    name it, and while nobody who is about to join may have made them."""
    live = live_policy(cluster, plan)  # asked at the end: a policy may have changed during the rollout
    named = {plan.contender_name(contender) for contender in live.contenders} if live else set()
    found = []
    for each in deploying.leftovers(cluster, objects, plan.namespace, plan.labels()):
        name = each["metadata"]["name"]
        if each["metadata"]["labels"].get(COMPONENT) != WORKER:
            found.append(each)
        elif live and name not in named:
            if deploying.age(each, time.time()) > deploying.WAIT_SECONDS:
                found.append(each)
            else:
                click.echo(f"{deploying.title(each)}: stays, since it is new and may be about to join")
    return found


NO_GUARDS = "[guards]: nobody watches them on a cluster (docs/guide/kubernetes.md shows what can be done)"
COMPONENT = "app.kubernetes.io/component"


def _missing(cluster: Cluster, plan: ClusterPlan) -> list[str]:
    """The Secrets that are named and not there. Raises ClusterError for one that only its owner can make."""
    wanted = [plan.stream_secret]
    if plan.own_stream and not plan.settings.issuer:
        wanted.append(plan.tls_secret)
    wanted += [name for name in (plan.settings.archive_secret, plan.settings.pull_secret) if name]
    missing = [name for name in wanted if cluster.read("Secret", name, plan.namespace) is None]
    ours = [plan.stream_secret] if plan.own_stream else []
    if owners := [name for name in missing if name not in ours]:
        raise ClusterError(
            f"nothing was changed: namespace {plan.namespace} has no Secret {', '.join(owners)}; "
            "docs/guide/kubernetes.md shows how to make it"
        )
    return missing


def stream_secret(plan: ClusterPlan, password: str) -> Object:
    """Who may talk to the stream. The letter in front: NATS's settings take a number for no text."""
    said = f"p{password}"
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(plan, plan.stream_secret, stream.COMPONENT),
        "type": "Opaque",
        "stringData": {"password": said, "url": stream.url(plan, said)},
    }
