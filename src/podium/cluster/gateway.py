"""The front door on a cluster: gateways, how many, and how clients come to them."""

from __future__ import annotations

from podium.cluster import pods
from podium.cluster.plan import GATEWAY_PORT, ClusterPlan, Object, metadata

COMPONENT = "gateway"


def objects(plan: ClusterPlan) -> list[Object]:
    name = f"{plan.name}-gateway"
    least, most = plan.settings.gateways
    scaled = [pods.scaled_by_cpu(plan, name, COMPONENT, least, most)] if most > least else []
    return [
        pods.account(plan, COMPONENT),
        _deployment(plan, name, None if scaled else least),
        *scaled,
        pods.never_all(plan, name, COMPONENT, plan.labels(COMPONENT)),
        _service(plan, name),
        *([_route(plan, name)] if plan.settings.host else []),
    ]


def _deployment(plan: ClusterPlan, name: str, replicas: int | None) -> Object:
    key = {"secretKeyRef": {"name": f"{plan.name}-admin", "key": "key", "optional": True}}
    container = {
        "name": COMPONENT,
        "image": plan.gateway_image,
        "args": ["run", "gateway"],
        "env": [
            *pods.told(plan, **pods.settings_file()),
            {"name": "PODIUM_ADMIN_KEY", "valueFrom": key},
        ],
        "ports": [{"name": "http", "containerPort": GATEWAY_PORT}],
        **pods.probes(GATEWAY_PORT, live=5),
        "lifecycle": {"preStop": {"exec": {"command": pods.LINGER}}},
        "resources": pods.resources(cpu="500m", memory="512Mi"),
        "volumeMounts": pods.mounts(plan, settings=True),
    }
    template = pods.template(
        plan,
        COMPONENT,
        container,
        annotations={"podium/settings": plan.settings_digest(), **_scraped()},
        volumes=pods.volumes(plan, settings=True),
    )
    return pods.deployment(plan, name, COMPONENT, template, replicas=replicas)


def _scraped() -> dict[str, str]:
    return {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(GATEWAY_PORT),
        "prometheus.io/path": "/metrics",
    }


def _service(plan: ClusterPlan, name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(plan, name, COMPONENT),
        "spec": {
            "selector": plan.labels(COMPONENT),
            "ports": [{"name": "http", "port": 80, "targetPort": GATEWAY_PORT, "protocol": "TCP"}],
        },
    }


def _route(plan: ClusterPlan, name: str) -> Object:
    return _http_route(plan, name) if plan.settings.route == "gateway" else _ingress(plan, name)


def _http_route(plan: ClusterPlan, name: str) -> Object:
    namespace, _, parent = plan.settings.route_class.rpartition("/")
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata(plan, name, COMPONENT),
        "spec": {
            "parentRefs": [{"name": parent, **({"namespace": namespace} if namespace else {})}],
            "hostnames": [plan.settings.host],
            "rules": [{"backendRefs": [{"name": name, "port": 80}]}],
        },
    }


def _ingress(plan: ClusterPlan, name: str) -> Object:
    service = {"name": name, "port": {"name": "http"}}
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": service}}
    kind = plan.settings.route_class
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata(plan, name, COMPONENT),
        "spec": {
            **({"ingressClassName": kind} if kind else {}),
            "rules": [{"host": plan.settings.host, "http": {"paths": [path]}}],
        },
    }
