"""A Deployment for each contender, scaled by its work; the decoy is one too."""

from __future__ import annotations

from podium.cluster import pods
from podium.cluster.plan import HEALTH_PORT, ClusterPlan, Object, metadata
from podium.records import Contender, Role

COMPONENT = "worker"
KINDS = ("ScaledObject", "HorizontalPodAutoscaler", "Deployment")
"""What one contender may be, in the order in which it goes: who scales a Deployment goes before it."""

WAITING = 64
"""Requests in flight at the gateways for which KEDA adds another worker."""


def objects(plan: ClusterPlan) -> list[Object]:
    found = [pods.account(plan, COMPONENT)]
    for contender in plan.run.policy.contenders:
        found += contender_objects(plan, contender)
    return found


def contender_objects(plan: ClusterPlan, contender: Contender) -> list[Object]:
    """What one contender is on a cluster: also one that no policy names yet."""
    name = plan.contender_name(contender)
    least = plan.worker_of(contender).replicas
    most = max(least, plan.settings.workers)
    scales = contender.role is not Role.DECOY and most > least  # one decoy sees every frame of its group
    return [
        _deployment(plan, contender, name, None if scales else least),
        *([_scaled(plan, name, least, most)] if scales else []),
    ]


def labels_of(contender: Contender) -> dict[str, str]:
    return {
        "podium/model": contender.model,
        **({"podium/version": contender.version} if contender.version else {}),
    }


def _deployment(plan: ClusterPlan, contender: Contender, name: str, replicas: int | None) -> Object:
    own = plan.worker_of(contender)
    decoy = contender.role is Role.DECOY
    container = {
        "name": COMPONENT,
        "image": plan.gateway_image if decoy else plan.image_of(contender),
        "args": ["run", "worker", contender.name],
        "env": pods.told(
            plan,
            PODIUM_ENDPOINT=plan.run.endpoint,
            PODIUM_THREADS=str(own.threads),
            PODIUM_TIMEOUT=f"{own.timeout:g}",
            PODIUM_BATCH_ROWS=str(own.batch_rows),
        ),
        "ports": pods.health_port(),
        **pods.probes(HEALTH_PORT, live=round(own.timeout)),
        "resources": pods.resources(cpu=f"{250 * own.threads}m", memory=plan.settings.memory),
        "volumeMounts": pods.mounts(plan, settings=False),
    }
    template = pods.template(
        plan,
        COMPONENT,
        container,
        labels=labels_of(contender),
        volumes=pods.volumes(plan, settings=False),
    )
    return pods.deployment(plan, name, COMPONENT, template, replicas=replicas)


def _scaled(plan: ClusterPlan, name: str, least: int, most: int) -> Object:
    if plan.settings.scale == "cpu":
        return pods.scaled_by_cpu(plan, name, COMPONENT, least, most)
    query = f'sum(podium_requests_in_flight{{namespace="{plan.namespace}"}})'
    waiting = {"serverAddress": plan.settings.prometheus, "query": query, "threshold": str(WAITING)}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": metadata(plan, name, COMPONENT),
        "spec": {
            "scaleTargetRef": {"name": name},
            "minReplicaCount": least,
            "maxReplicaCount": most,
            "triggers": [
                {"type": "prometheus", "metadata": waiting},
                {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "70"}},
            ],
        },
    }
