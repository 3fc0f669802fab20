"""What all pods have in common: nobody is root, nothing is written but in memory, no token is mounted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from podium.cluster.plan import HEALTH_PORT, SETTINGS_FILE, ClusterPlan, Object, metadata

USER = 10001
RUN_DIR = "/tmp/podium"
SETTINGS_DIR = "/etc/podium/settings"
AUTHORITY_DIR = "/etc/podium/stream"
GRACE_SECONDS = 20
STREAM = "stream"
CLIENT_ID = "azure.workload.identity/client-id"
USES_IDENTITY = "azure.workload.identity/use"
LINGER = ["python3", "-c", "import time; time.sleep(5)"]
"""A gateway answers so long after it was told to go: who sends it requests hears of that a little later."""


def account(plan: ClusterPlan, component: str) -> Object:
    """An identity that may do nothing: no pod of Podium asks the API server anything."""
    about = metadata(plan, f"{plan.name}-{component}", component)
    client = _identity(plan, component)
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {**about, "annotations": {CLIENT_ID: client}} if client else about,
        "automountServiceAccountToken": False,
    }


def _identity(plan: ClusterPlan, component: str) -> str:
    """The client ID on Azure; NATS asks nobody there."""
    return "" if component == STREAM else plan.settings.azure_identity


def template(
    plan: ClusterPlan,
    component: str,
    container: Object,
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    volumes: Sequence[Object] = (),
) -> Object:
    """A pod of this component with one container, to be spread over nodes and zones."""
    every = {**plan.labels(component), **(labels or {})}
    marks = {USES_IDENTITY: "true"} if _identity(plan, component) else {}
    pull = plan.settings.pull_secret
    return {
        "metadata": {"labels": {**every, **marks}, **({"annotations": annotations} if annotations else {})},
        "spec": {
            "serviceAccountName": f"{plan.name}-{component}",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,  # variables for Services are named like Podium's own
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            **({"imagePullSecrets": [{"name": pull}]} if pull else {}),
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "topologySpreadConstraints": [
                _spread("topology.kubernetes.io/zone", every),
                _spread("kubernetes.io/hostname", every),
            ],
            "containers": [
                {
                    **container,
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
            "volumes": list(volumes),
        },
    }


def _spread(key: str, labels: dict[str, str]) -> Object:
    return {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels},
    }


# --- Podium's own containers ----------------------------------------------------------------


def told(plan: ClusterPlan, **more: str) -> list[Object]:
    """The environment of a process (docs/images.md); the stream's URL is a secret."""
    secret = {"secretKeyRef": {"name": plan.stream_secret, "key": "url"}}
    return [
        {"name": "PODIUM_STREAM", "valueFrom": secret},
        {"name": "PODIUM_RUN_DIR", "value": RUN_DIR},
        *({"name": name, "value": value} for name, value in more.items()),
    ]


def mounts(plan: ClusterPlan, *, settings: bool) -> list[Object]:
    return [
        {"name": "run", "mountPath": "/tmp"},
        *([{"name": "settings", "mountPath": SETTINGS_DIR, "readOnly": True}] if settings else []),
        *([{"name": "stream", "mountPath": AUTHORITY_DIR, "readOnly": True}] if plan.own_stream else []),
    ]


def volumes(plan: ClusterPlan, *, settings: bool) -> list[Object]:
    """The folder for counters, in memory; the settings; whom to trust as the stream."""
    authority = {"secretName": plan.tls_secret, "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    return [
        {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "32Mi"}},
        *([{"name": "settings", "configMap": {"name": f"{plan.name}-settings"}}] if settings else []),
        *([{"name": "stream", "secret": authority}] if plan.own_stream else []),
    ]


def settings_file() -> dict[str, str]:
    return {"PODIUM_SETTINGS": f"{SETTINGS_DIR}/{SETTINGS_FILE}"}


def probes(port: int, *, live: int) -> Object:
    """`live`: seconds of silence after which a process is started anew; a minute to start at all."""
    return {
        "startupProbe": {
            "httpGet": {"path": "/live", "port": port},
            "periodSeconds": 1,
            "failureThreshold": 120,
            "timeoutSeconds": 2,
        },
        "readinessProbe": {
            "httpGet": {"path": "/ready", "port": port},
            "periodSeconds": 2,
            "timeoutSeconds": 2,
        },
        "livenessProbe": {
            "httpGet": {"path": "/live", "port": port},
            "periodSeconds": 5,
            "timeoutSeconds": max(1, live),
            "failureThreshold": 2,
        },
    }


def health_port() -> list[Object]:
    return [{"name": "health", "containerPort": HEALTH_PORT}]


def resources(*, cpu: str, memory: str) -> Object:
    """Processor time is asked for and not limited: what is throttled is late. Memory is both."""
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}}


def deployment(
    plan: ClusterPlan, name: str, component: str, template: Object, *, replicas: int | None, **spec: Any
) -> Object:
    """`replicas` is None where something scales it: applying again must not scale it back."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(plan, name, component),
        "spec": {
            **({} if replicas is None else {"replicas": replicas}),
            "selector": {"matchLabels": _lasting(template["metadata"]["labels"])},
            # The old one goes only after the new one is ready.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "progressDeadlineSeconds": 300,
            "template": template,
            **spec,
        },
    }


def _lasting(labels: dict[str, str]) -> dict[str, str]:
    """A selector never changes; whether pods have an identity may."""
    return {name: value for name, value in labels.items() if name != USES_IDENTITY}


def scaled_by_cpu(plan: ClusterPlan, name: str, component: str, least: int, most: int) -> Object:
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": _target(70)}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(plan, name, component),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [metric],
        },
    }


def _target(percent: int) -> Object:
    return {"type": "Utilization", "averageUtilization": percent}


def never_all(plan: ClusterPlan, name: str, component: str, labels: dict[str, str]) -> Object:
    """Who empties a node takes one at a time."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(plan, name, component),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels}},
    }
