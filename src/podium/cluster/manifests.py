"""All objects of an endpoint, by file, in the order in which a cluster takes them."""

from __future__ import annotations

from podium.cluster import archiver, contenders, gateway, network, stream
from podium.cluster.plan import MANAGER, SETTINGS_FILE, ClusterPlan, Object, metadata

RESTRICTED = "pod-security.kubernetes.io"


def manifests(plan: ClusterPlan) -> dict[str, list[Object]]:
    """File → objects. No Secret is among them: they are named, and somebody else makes them."""
    files = {
        "00-namespace.yaml": [_namespace(plan)],
        "10-network.yaml": network.objects(plan),
        "20-settings.yaml": [_settings(plan)],
        "30-stream.yaml": stream.objects(plan),
        "40-contenders.yaml": contenders.objects(plan),
        "50-gateway.yaml": gateway.objects(plan),
        "60-archiver.yaml": archiver.objects(plan),
    }
    return {name: objects for name, objects in files.items() if objects}


def _namespace(plan: ClusterPlan) -> Object:
    """Where pods of the namespace must be as restricted as these are."""
    levels = {f"{RESTRICTED}/{mode}": "restricted" for mode in ("enforce", "warn")}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": plan.namespace,
            "labels": {**plan.labels(), **levels, "app.kubernetes.io/managed-by": MANAGER},
        },
    }


def _settings(plan: ClusterPlan) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(plan, f"{plan.name}-settings", "settings"),
        "data": {SETTINGS_FILE: plan.settings_text()},
    }
