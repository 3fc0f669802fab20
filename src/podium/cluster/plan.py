"""What is to run on a cluster, and how everything there is called."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from podium.kubernetes import OWN, KubernetesSettings
from podium.records import Contender
from podium.run import Run, WorkerSettings

Object: TypeAlias = dict[str, Any]
"""A Kubernetes object, as its API takes it."""

NAME_LENGTH = 52
"""Names of pods and of what belongs to them are longer than that of their owner, and have 63 characters."""

GATEWAY_PORT = 8080
HEALTH_PORT = 8081
SETTINGS_FILE = "settings.json"
MANAGER = "podium"
NO_SETTINGS = ("stream", "registry", "run_dir", "admin_key")
"""What a pod is told by its environment, or by its image."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterPlan:
    """An endpoint on a cluster. `run` is what its processes are told, `release` Podium's own version.

    Models in `outbound` call servers elsewhere.
    """

    run: Run
    settings: KubernetesSettings
    release: str
    outbound: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The endpoint's, as Kubernetes writes names; all others begin with it."""
        return dns_name(self.run.endpoint)

    @property
    def namespace(self) -> str:
        return self.settings.namespace or self.name

    @property
    def own_stream(self) -> bool:
        return self.settings.stream == OWN

    @property
    def stream_secret(self) -> str:
        """Its key `url` is the stream's URL with credentials; `password` is NATS's own."""
        return f"{self.name}-stream"

    @property
    def tls_secret(self) -> str:
        """NATS's certificate, key and authority, as cert-manager writes them."""
        return f"{self.name}-nats-tls"

    @property
    def gateway_image(self) -> str:
        return f"{self.settings.images}/gateway:{self.release}"

    def image_of(self, contender: Contender) -> str:
        return f"{self.settings.images}/{contender.model.lower()}:{contender.version}"

    def contender_name(self, contender: Contender) -> str:
        return dns_name(self.run.endpoint, *filter(None, (contender.model, contender.version)))

    def worker_of(self, contender: Contender) -> WorkerSettings:
        return self.run.workers.get(contender.model, WorkerSettings())

    def labels(self, component: str = "") -> dict[str, str]:
        """On every object of the endpoint, or of one component."""
        return {
            "app.kubernetes.io/name": "podium",
            "app.kubernetes.io/instance": self.name,
            **({"app.kubernetes.io/component": component} if component else {}),
        }

    def settings_text(self) -> str:
        return settings_text(self.run)

    def settings_digest(self) -> str:
        """Changes when pods must be told anew. A policy is not among that: they follow the store's."""
        lasting = {key: value for key, value in _public(self.run).items() if key != "policy"}
        return hashlib.sha256(msgspec.json.encode(lasting)).hexdigest()[:16]


def settings_text(run: Run) -> str:
    """The file that gateways and archiver read (docs/images.md): no secret is in it."""
    return msgspec.json.format(msgspec.json.encode(_public(run))).decode() + "\n"


def _public(run: Run) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(run)
    return {key: value for key, value in told.items() if key not in NO_SETTINGS}


def dns_name(*parts: str) -> str:
    """A name that Kubernetes takes; two that would become one by it end differently."""
    said = "-".join(parts)
    name = re.sub(r"[^a-z0-9-]", "-", said.lower()).strip("-")
    if name == said and len(name) <= NAME_LENGTH:
        return name
    mark = hashlib.sha256(said.encode()).hexdigest()[:6]
    return f"{name[: NAME_LENGTH - len(mark) - 1].strip('-')}-{mark}"


def metadata(plan: ClusterPlan, name: str, component: str, **more: Any) -> Object:
    labels = {**plan.labels(component), "app.kubernetes.io/managed-by": MANAGER}
    return {"name": name, "namespace": plan.namespace, "labels": labels, **more}
