"""NATS on a cluster: three servers, each with a disk that keeps what is published, and TLS between all."""

from __future__ import annotations

import math

from podium.cluster import pods
from podium.cluster.plan import ClusterPlan, Object, metadata

COMPONENT = pods.STREAM
REPLICAS = 3
USER = "podium"
CLIENTS, ROUTES, MONITOR = 4222, 6222, 8222
TLS_DIR = "/etc/nats/tls"

PING_SECONDS = 2
ROUTE_LIVELINESS = 'ping_interval: "1s", ping_max: 2'
"""A server whose host is cut off is sent nothing more after 3 s; servers do not compute."""


def liveliness(patience: float) -> str:
    """A client whose host is cut off is given no more frames after some seconds instead of some minutes.

    Not too soon: a worker says nothing while its model computes, which may take `patience` seconds.
    """
    return f'ping_interval: "{PING_SECONDS}s", ping_max: {max(3, math.ceil(patience / PING_SECONDS))}'


def objects(plan: ClusterPlan) -> list[Object]:
    """Nothing where the stream is somewhere else already."""
    if not plan.own_stream:
        return []
    name = stream_name(plan)
    return [
        pods.account(plan, COMPONENT),
        _configuration(plan, name),
        *([_certificate(plan, name)] if plan.settings.issuer else []),
        _service(plan, name),
        pods.never_all(plan, name, COMPONENT, plan.labels(COMPONENT)),
        _servers(plan, name),
    ]


def stream_name(plan: ClusterPlan) -> str:
    return f"{plan.name}-nats"


def url(plan: ClusterPlan, password: str) -> str:
    """What pods are told: never in clear, three copies of everything."""
    host = f"{stream_name(plan)}.{plan.namespace}.svc"
    return f"tls://{USER}:{password}@{host}:{CLIENTS}?ca={pods.AUTHORITY_DIR}/ca.crt&replicas={REPLICAS}"


def certificate_names(plan: ClusterPlan) -> list[str]:
    """The names that NATS's certificate needs: the Service's, each server's, and one for port-forwards."""
    name = stream_name(plan)
    every = f"{name}.{plan.namespace}.svc"
    return [name, every, f"*.{name}", f"*.{every}", "localhost"]


def _configuration(plan: ClusterPlan, name: str) -> Object:
    routes = "\n".join(f"    tls://{name}-{n}.{name}:{ROUTES}" for n in range(REPLICAS))
    tls = (
        f'  tls {{ cert_file: "{TLS_DIR}/tls.crt", key_file: "{TLS_DIR}/tls.key", ca_file: "{TLS_DIR}/ca.crt"'
    )
    text = f"""\
server_name: $POD_NAME
listen: "0.0.0.0:{CLIENTS}"
http: "0.0.0.0:{MONITOR}"
pid_file: "/run/nats/nats.pid"
max_payload: 16MB
max_pending: 128MB
write_deadline: "10s"
lame_duck_grace_period: "5s"
lame_duck_duration: "30s"
{liveliness(plan.run.patience)}
{tls.strip()} }}
authorization {{
  users: [{{ user: "{USER}", password: $NATS_PASSWORD }}]
}}
jetstream {{
  store_dir: "/data"
  max_memory_store: 16MB
}}
cluster {{
  name: "{name}"
  listen: "0.0.0.0:{ROUTES}"
  {ROUTE_LIVELINESS}
{tls}, verify: true }}
  routes: [
{routes}
  ]
}}
"""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(plan, name, COMPONENT),
        "data": {"nats.conf": text},
    }


def _certificate(plan: ClusterPlan, name: str) -> Object:
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": metadata(plan, name, COMPONENT),
        "spec": {
            "secretName": plan.tls_secret,
            "dnsNames": certificate_names(plan),
            "usages": ["server auth", "client auth"],
            "issuerRef": {"name": plan.settings.issuer, "kind": "ClusterIssuer"},
        },
    }


def _service(plan: ClusterPlan, name: str) -> Object:
    """Without an address of its own: a client that loses one server finds another by the same name."""
    ports = (("clients", CLIENTS), ("routes", ROUTES))
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(plan, name, COMPONENT),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": plan.labels(COMPONENT),
            "ports": [{"name": n, "port": port, "targetPort": port, "protocol": "TCP"} for n, port in ports],
        },
    }


def _servers(plan: ClusterPlan, name: str) -> Object:
    template = pods.template(
        plan,
        COMPONENT,
        _container(plan),
        volumes=[
            {"name": "config", "configMap": {"name": name}},
            {"name": "tls", "secret": {"secretName": plan.tls_secret}},
            {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        ],
    )
    template["spec"]["terminationGracePeriodSeconds"] = 60
    kind = plan.settings.storage_class
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(plan, name, COMPONENT),
        "spec": {
            "serviceName": name,
            "replicas": REPLICAS,
            "podManagementPolicy": "Parallel",  # none is ready before it has met another one
            "selector": {"matchLabels": plan.labels(COMPONENT)},
            "template": template,
            "volumeClaimTemplates": [
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "metadata": {"name": "data", "labels": plan.labels(COMPONENT)},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        **({"storageClassName": kind} if kind else {}),
                        "resources": {"requests": {"storage": plan.settings.stream_storage}},
                    },
                }
            ],
        },
    }


def _container(plan: ClusterPlan) -> Object:
    password = {"secretKeyRef": {"name": plan.stream_secret, "key": "password"}}
    return {
        "name": "nats",
        "image": plan.settings.stream_image,
        "command": ["nats-server", "--config", "/etc/nats/nats.conf"],
        "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "NATS_PASSWORD", "valueFrom": password},
        ],
        "ports": [{"name": "clients", "containerPort": CLIENTS}, {"name": "routes", "containerPort": ROUTES}],
        "startupProbe": _healthy("/healthz?js-server-only=true", every=2, failures=90),
        "readinessProbe": _healthy("/healthz?js-server-only=true", every=5, failures=2),
        "livenessProbe": _healthy("/healthz?js-enabled-only=true", every=10, failures=3),
        # Clients are asked to go elsewhere, one after the other, before it ends.
        "lifecycle": {
            "preStop": {"exec": {"command": ["nats-server", "--signal", "ldm=/run/nats/nats.pid"]}}
        },
        "resources": pods.resources(cpu="500m", memory="1Gi"),
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/nats/nats.conf", "subPath": "nats.conf", "readOnly": True},
            {"name": "tls", "mountPath": TLS_DIR, "readOnly": True},
            {"name": "run", "mountPath": "/run/nats"},
            {"name": "data", "mountPath": "/data"},
        ],
    }


def _healthy(path: str, *, every: int, failures: int) -> Object:
    return {
        "httpGet": {"path": path, "port": MONITOR},
        "periodSeconds": every,
        "failureThreshold": failures,
        "timeoutSeconds": 5,
    }
