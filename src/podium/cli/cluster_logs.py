"""What the pods of an endpoint on a cluster write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from podium.cli.cluster_status import processes_of
from podium.cli.clusters import plan_here
from podium.cluster.api import Cluster
from podium.errors import NotRunning
from podium.project import Project

Lines = Callable[[int, bool], Iterator[str]]


@contextmanager
def pods(project: Project, context: str) -> Iterator[dict[str, Lines]]:
    """Process → its last lines, and those that come. Raises NotRunning where there is no pod."""
    plan = plan_here(project)
    with Cluster(context) as cluster:
        found = cluster.listed("Pod", plan.namespace, plan.labels())
        if not found:
            raise NotRunning(
                f"no pod of {project.name!r} is in namespace {plan.namespace} of {cluster.name}; "
                "`podium deploy` brings it up"
            )
        yield {
            process.name: partial(_lines, cluster, plan.namespace, process.name.rpartition(" ")[2])
            for process in processes_of(found, [])
        }


def _lines(cluster: Cluster, namespace: str, pod: str, count: int, follow: bool) -> Iterator[str]:
    if follow:
        return cluster.follow_log(pod, namespace, lines=count)
    return iter(cluster.log(pod, namespace, lines=count))
