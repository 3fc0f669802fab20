"""A cluster's API, as one context of the user's kubeconfig reaches it.

Objects go in and come out as they are. The library's exceptions end here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

from podium.cluster.plan import MANAGER, Object
from podium.errors import ClusterError, MissingExtra


class Kind(NamedTuple):
    """Where objects of a kind are in the API, and what a cluster without them lacks."""

    group: str
    version: str
    plural: str
    lacks: str = ""


KINDS = {
    "Namespace": Kind("", "v1", "namespaces"),
    "NetworkPolicy": Kind("networking.k8s.io", "v1", "networkpolicies"),
    "ConfigMap": Kind("", "v1", "configmaps"),
    "Secret": Kind("", "v1", "secrets"),
    "ServiceAccount": Kind("", "v1", "serviceaccounts"),
    "Service": Kind("", "v1", "services"),
    "Certificate": Kind(
        "cert-manager.io", "v1", "certificates", "cert-manager: install it, or leave `issuer` out"
    ),
    "StatefulSet": Kind("apps", "v1", "statefulsets"),
    "Deployment": Kind("apps", "v1", "deployments"),
    "PodDisruptionBudget": Kind("policy", "v1", "poddisruptionbudgets", "Kubernetes 1.21 or newer"),
    "HorizontalPodAutoscaler": Kind(
        "autoscaling", "v2", "horizontalpodautoscalers", "Kubernetes 1.23 or newer"
    ),
    "ScaledObject": Kind("keda.sh", "v1alpha1", "scaledobjects", 'KEDA: install it, or say `scale = "cpu"`'),
    "HTTPRoute": Kind(
        "gateway.networking.k8s.io",
        "v1",
        "httproutes",
        'the Gateway API: install it, or say `route = "ingress"`',
    ),
    "Ingress": Kind("networking.k8s.io", "v1", "ingresses"),
    "Pod": Kind("", "v1", "pods"),
}


class Cluster:
    """One cluster, until the end of `with`. Methods block, and raise ClusterError."""

    def __init__(self, context: str | None = None) -> None:
        """The kubeconfig's current context where none is named."""
        try:
            from lightkube.config.kubeconfig import KubeConfig  # an extra, and slow to import
            from lightkube.core.client import Client
        except ImportError:
            raise MissingExtra("lightkube", "kubernetes") from None
        with _translated("the kubeconfig"):
            config = KubeConfig.from_env()
        if context is not None and context not in config.contexts:
            known = ", ".join(sorted(config.contexts)) or "none"
            raise ClusterError(f"the kubeconfig has no context {context!r}; there are {known}")
        with _translated("the kubeconfig"):
            found = config.get(context)
            self._client = Client(config=found, field_manager=MANAGER)
        self.name = context or config.current_context or "this cluster"

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def read(self, kind: str, name: str, namespace: str) -> Object | None:
        """None where there is no such object, or no such kind."""
        with _translated(f"{kind} {name}"), _if_there():
            return _plain(self._client.get(_resource(kind), name, **_in(kind, namespace)))
        return None

    def apply(self, each: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Server-side; what others have set in the same fields is ours from now on."""
        with _translated(_title(each), KINDS[each["kind"]].lacks):
            found = _resource(each["kind"]).from_dict(dict(each))
            return _plain(self._client.apply(found, force=True, dry_run=dry_run))

    def delete(self, kind: str, name: str, namespace: str) -> None:
        with _translated(f"{kind} {name}"), _if_there():
            self._client.delete(_resource(kind), name, **_in(kind, namespace))

    def listed(self, kind: str, namespace: str, labels: Mapping[str, str]) -> list[Object]:
        """Nothing where the cluster does not have this kind."""
        with _translated(f"{kind} in {namespace}"), _if_there():
            there = self._client.list(_resource(kind), namespace=namespace, labels=dict(labels))
            return [_plain(each) for each in there]
        return []

    def log(self, pod: str, namespace: str, *, lines: int) -> list[str]:
        """The end of what a pod said; nothing where it has not run yet. Of a crashed one too."""
        import httpx2  # see _if_there

        with _translated(f"the log of {pod}"):
            try:
                said = self._client.log(pod, namespace=namespace, tail_lines=lines)
                return [line.rstrip("\n") for line in said]
            except httpx2.HTTPStatusError:
                return []

    def follow_log(self, pod: str, namespace: str, *, lines: int) -> Iterator[str]:
        """The end of what a pod said, and what it says from now on, until it has ended."""
        with _translated(f"the log of {pod}"):
            said = self._client.log(pod, namespace=namespace, tail_lines=lines, follow=True)
            yield from (line.rstrip("\n") for line in said)

    def run(self, pod: str, namespace: str, command: Sequence[str]) -> str:
        """What a command in a pod writes. Raises ClusterError with its last line where it fails."""
        with _translated(f"a command in {pod}"):
            done = self._client.exec(
                pod, namespace=namespace, command=list(command), stdout=True, stderr=True, timeout=60
            )
        if done.exit_code:
            said = str(done.stderr or done.stdout).strip().splitlines()
            raise ClusterError(said[-1].removeprefix("podium: ") if said else f"{pod}: {done.exit_code}")
        return str(done.stdout)


@cache  # the library registers a class for each kind, once
def _resource(kind: str) -> Any:
    from lightkube.core.exceptions import LoadResourceError  # see Cluster
    from lightkube.core.resource_registry import resource_registry
    from lightkube.generic_resource import create_namespaced_resource

    place = KINDS[kind]
    try:
        return resource_registry.load(f"{place.group}/{place.version}".lstrip("/"), kind)
    except LoadResourceError:
        return create_namespaced_resource(place.group, place.version, kind, place.plural)


def _in(kind: str, namespace: str) -> dict[str, Any]:
    return {} if kind == "Namespace" else {"namespace": namespace}


def _plain(found: Any) -> Object:
    plain: Object = found.to_dict()
    return plain


def _title(each: Mapping[str, Any]) -> str:
    return f"{each['kind']} {each['metadata']['name']}"


NOT_FOUND = 404


@contextmanager
def _if_there() -> Iterator[None]:
    """Go on where there is no such object, or no such kind."""
    import httpx2  # lightkube's own HTTP client; see Cluster

    try:
        yield
    except httpx2.HTTPStatusError as error:
        if _status(error) != NOT_FOUND:
            raise


@contextmanager
def _translated(what: str, lacks: str = "") -> Iterator[None]:
    import httpx2  # see _if_there
    from httpx2.websockets import HTTPXWSException, WebSocketUpgradeError
    from lightkube.core.exceptions import ConfigError

    try:
        yield
    except ConfigError as error:
        raise ClusterError(f"{what}: {error}; `kubectl config get-contexts` shows what there is") from None
    except httpx2.HTTPStatusError as error:
        if _status(error) == NOT_FOUND and lacks and _is_unknown_kind(str(error)):
            raise ClusterError(f"{what}: this cluster has none of its kind, which needs {lacks}") from None
        raise ClusterError(f"{what}: the API server says: {' '.join(str(error).split())}") from None
    except WebSocketUpgradeError as error:
        raise ClusterError(f"{what}: the API server does not let us in there: {error.response}") from None
    except (httpx2.HTTPError, HTTPXWSException, OSError) as error:
        raise ClusterError(f"{what}: the API server cannot be reached: {error or repr(error)}") from None


def _status(error: Any) -> int:
    """Of the server's own document where it sent one, as it does for all but unknown groups of its API."""
    document = getattr(error, "status", None)
    return int(document.code if document is not None else error.response.status_code)


def _is_unknown_kind(words: str) -> bool:
    return "could not find the requested resource" in words or words.startswith("Client error")
