"""The archiver on a cluster: one for an endpoint, and the old one ends before the new one starts."""

from __future__ import annotations

from podium.cluster import pods
from podium.cluster.plan import HEALTH_PORT, ClusterPlan, Object

COMPONENT = "archiver"


def objects(plan: ClusterPlan) -> list[Object]:
    return [pods.account(plan, COMPONENT), _deployment(plan)]


def _deployment(plan: ClusterPlan) -> Object:
    secret = plan.settings.archive_secret
    container = {
        "name": COMPONENT,
        "image": plan.gateway_image,
        "args": ["run", "archiver"],
        "env": pods.told(plan, **pods.settings_file()),
        **({"envFrom": [{"secretRef": {"name": secret}}]} if secret else {}),
        "ports": pods.health_port(),
        **pods.probes(HEALTH_PORT, live=30),
        "resources": pods.resources(cpu="250m", memory="1Gi"),
        "volumeMounts": pods.mounts(plan, settings=True),
    }
    template = pods.template(
        plan,
        COMPONENT,
        container,
        annotations={"podium/settings": plan.settings_digest()},
        volumes=pods.volumes(plan, settings=True),
    )
    name = f"{plan.name}-archiver"
    # Two would be right, since each table is exactly once by itself, and slow: both would write all of it.
    return pods.deployment(plan, name, COMPONENT, template, replicas=1, strategy={"type": "Recreate"})
