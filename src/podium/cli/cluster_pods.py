"""Asking an endpoint's pods on a cluster, each by a command in it: nothing else has to be reachable."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from podium.cli.run_report import PodReport
from podium.cluster.api import Cluster
from podium.cluster.gateway import COMPONENT as GATEWAY
from podium.cluster.plan import ClusterPlan, Object
from podium.cluster.progress import is_leaving, is_ready, is_running
from podium.errors import ClusterError
from podium.records import Policy

RUN = ("python3", "-P", "-m", "podium", "run")
AT_A_TIME = 8


def gateways(cluster: Cluster, plan: ClusterPlan) -> list[Object]:
    """Those that run, the ready ones first; not those that are about to go."""
    pods = cluster.listed("Pod", plan.namespace, plan.labels(GATEWAY))
    there = [pod for pod in pods if is_running(pod) and not is_leaving(pod)]
    return sorted(there, key=lambda pod: (not is_ready(pod), name_of(pod)))


def name_of(pod: Object) -> str:
    return str(pod["metadata"]["name"])


def gateway_to_ask(cluster: Cluster, plan: ClusterPlan) -> str | None:
    """A pod through which the policy store can be reached: one that cannot answer requests will do too."""
    found = gateways(cluster, plan)
    return name_of(found[0]) if found else None


def kept(cluster: Cluster, plan: ClusterPlan, gateway: str) -> list[Policy]:
    """All revisions of the policy, the oldest first."""
    said = cluster.run(gateway, plan.namespace, [*RUN, "store", "history"])
    return msgspec.json.decode(said, type=list[Policy])


def keep(cluster: Cluster, plan: ClusterPlan, gateway: str, policy: Policy) -> None:
    """Raises ClusterError where somebody else was faster."""
    document = msgspec.json.encode(policy).decode()
    cluster.run(gateway, plan.namespace, [*RUN, "store", "write", document])


def reports(
    cluster: Cluster, plan: ClusterPlan, pods: Sequence[str], *, revision: int = 0, seconds: float = 0.0
) -> dict[str, PodReport | ClusterError]:
    """What each of these pods has counted, or why it does not say.

    With `revision` it is told as soon as that is in use, or `seconds` later.
    """
    command = [*RUN, "report", "--revision", str(revision), "--seconds", str(seconds)]

    def ask(pod: str) -> PodReport | ClusterError:
        try:
            return msgspec.json.decode(cluster.run(pod, plan.namespace, command), type=PodReport)
        except ClusterError as error:
            return error
        except msgspec.MsgspecError as error:
            return ClusterError(f"{pod}: it says something that this Podium cannot read: {error}")

    with ThreadPoolExecutor(AT_A_TIME) as threads:
        return dict(zip(pods, threads.map(ask, pods), strict=True))
