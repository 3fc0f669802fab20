"""The `[kubernetes]` table of `podium.toml`: what a cluster needs to know that a laptop does not."""

from __future__ import annotations

import re
from dataclasses import dataclass

from podium.toml_tables import Table

OWN, EXISTING = "own", "existing"
STREAMS = (OWN, EXISTING)
ROUTES = ("gateway", "ingress")
SCALES = ("cpu", "keda")
STREAM_IMAGE = "docker.io/library/nats:2.15-alpine"
KEYS = (
    "namespace",
    "images",
    "pull_secret",
    "stream",
    "stream_image",
    "stream_storage",
    "storage_class",
    "issuer",
    "archive_secret",
    "azure_identity",
    "host",
    "route",
    "route_class",
    "gateways",
    "workers",
    "memory",
    "scale",
    "prometheus",
)
_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_CLIENT_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


@dataclass(frozen=True, kw_only=True, slots=True)
class KubernetesSettings:
    """How an endpoint runs on a cluster; an empty text is nothing said.

    `images` is the registry and folder that hold the images. `gateways` and `workers` are the fewest and
    the most replicas of the gateways, and the most of each contender (the fewest are its `replicas`).
    `azure_identity` is the client ID that pods have on Azure (workload identity).
    `stream` says whether NATS is set up here or named by the URL in a Secret. `prometheus` is the server
    that KEDA asks how many requests wait.
    """

    namespace: str = ""
    images: str = ""
    pull_secret: str = ""
    stream: str = OWN
    stream_image: str = STREAM_IMAGE
    stream_storage: str = "10Gi"
    storage_class: str = ""
    issuer: str = ""
    archive_secret: str = ""
    azure_identity: str = ""
    host: str = ""
    route: str = "gateway"
    route_class: str = ""
    gateways: tuple[int, int] = (2, 10)
    workers: int = 10
    memory: str = "512Mi"
    scale: str = "cpu"
    prometheus: str = ""


def settings_of(table: Table) -> KubernetesSettings:
    """Raises ProjectError with the line of what cannot be."""
    table.only(*KEYS)
    usual = KubernetesSettings()
    found = KubernetesSettings(
        namespace=_matching(table, "namespace", _LABEL, "lower-case letters, digits and `-`, at most 63"),
        images=_said(table, "images").rstrip("/"),
        pull_secret=_said(table, "pull_secret"),
        stream=table.choice("stream", usual.stream, STREAMS),
        stream_image=table.text("stream_image", usual.stream_image),
        stream_storage=_quantity(table, "stream_storage", usual.stream_storage),
        storage_class=_said(table, "storage_class"),
        issuer=_said(table, "issuer"),
        archive_secret=_said(table, "archive_secret"),
        azure_identity=_matching(
            table, "azure_identity", _CLIENT_ID, "a client ID, as 8-4-4-4-12 hex digits"
        ),
        host=_matching(table, "host", _HOST, 'a host\'s name, as in "scores.example.com"'),
        route=table.choice("route", usual.route, ROUTES),
        route_class=_said(table, "route_class"),
        gateways=_range(table, "gateways", usual.gateways),
        workers=table.count("workers", usual.workers),
        memory=_quantity(table, "memory", usual.memory),
        scale=table.choice("scale", usual.scale, SCALES),
        prometheus=_said(table, "prometheus"),
    )
    _check(table, found)
    return found


def _check(table: Table, found: KubernetesSettings) -> None:
    """What does not fit together."""
    if found.scale == "keda" and not found.prometheus:
        table.fail('"keda" asks Prometheus how many requests wait: give `prometheus`, its URL', "scale")
    if found.host and found.route == "gateway" and not found.route_class:
        table.fail("which Gateway? Name it in `route_class`, as in NAMESPACE/NAME", "host")
    if found.host and found.route == "gateway" and found.route_class.count("/") > 1:
        table.fail("is NAME or NAMESPACE/NAME of a Gateway", "route_class")


def _said(table: Table, key: str) -> str:
    return table.text(key, None) if key in table else ""


def _matching(table: Table, key: str, pattern: re.Pattern[str], what: str) -> str:
    value = _said(table, key)
    if value and not pattern.fullmatch(value):
        table.fail(f"{value!r} is not {what}", key)
    return value


def _quantity(table: Table, key: str, usual: str) -> str:
    value = table.text(key, usual)
    return value if _QUANTITY.fullmatch(value) else table.fail(f'{value!r} is no size; as in "{usual}"', key)


def _range(table: Table, key: str, usual: tuple[int, int]) -> tuple[int, int]:
    value = table.values.get(key, list(usual))
    whole = isinstance(value, list) and len(value) == 2 and all(type(each) is int for each in value)
    if not whole or not 1 <= value[0] <= value[1]:
        table.fail("is the fewest and the most, as in [2, 10]", key)
    return value[0], value[1]
