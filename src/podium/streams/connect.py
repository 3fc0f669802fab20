"""Which adapter a URL means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from podium.errors import MissingExtra, ProjectError
from podium.streams.base import Stream
from podium.streams.objects import ObjectStore
from podium.streams.policies import PolicyStore

_NATS = ("podium.streams.nats", "NatsStream")
_NATS_OBJECTS = ("podium.streams.nats_objects", "NatsObjectStore")
_NATS_POLICIES = ("podium.streams.nats_policies", "NatsPolicyStore")
ADAPTERS = {
    "nats": _NATS,
    "tls": _NATS,
    "servicebus": ("podium.streams.servicebus", "ServiceBusStream"),
}
OBJECT_STORES = {
    "nats": _NATS_OBJECTS,
    "tls": _NATS_OBJECTS,
    "servicebus": ("podium.streams.no_objects", "NoObjectStore"),
}
POLICY_STORES = {
    "nats": _NATS_POLICIES,
    "tls": _NATS_POLICIES,
    "servicebus": ("podium.streams.table_policies", "TablePolicyStore"),
}
EXTRAS = {"servicebus": ("azure.servicebus", "azure-servicebus", "azure")}
"""What a scheme needs beyond Podium itself: a module, its package, and the extra that has it."""


def connect(
    url: str,
    endpoint: str,
    *,
    lost: Callable[[int], None] = lambda count: None,
    overdue: Callable[[int], None] = lambda count: None,
    dead: Callable[[int], None] | None = None,
) -> AbstractAsyncContextManager[Stream]:
    """A stream for one endpoint, not connected yet. Raises ProjectError for an unknown scheme.

    `lost` is told of messages that could not be kept, `overdue` how many the broker should have
    confirmed by now, `dead`, where somebody wants to know, how many it has put aside.
    """
    adapter: AbstractAsyncContextManager[Stream] = _adapter(ADAPTERS, url)(
        url, endpoint, lost=lost, overdue=overdue, dead=dead
    )
    return adapter


def policies(url: str, endpoint: str) -> AbstractAsyncContextManager[PolicyStore]:
    """The store of an endpoint's policies beside that stream, not connected yet."""
    store: AbstractAsyncContextManager[PolicyStore] = _adapter(POLICY_STORES, url)(url, endpoint)
    return store


def objects(
    url: str, endpoint: str, *, ttl: float, max_bytes: int
) -> AbstractAsyncContextManager[ObjectStore]:
    """The store of what is too large for that stream's messages; `ttl` is in seconds."""
    store: AbstractAsyncContextManager[ObjectStore] = _adapter(OBJECT_STORES, url)(
        url, endpoint, ttl=ttl, max_bytes=max_bytes
    )
    return store


def _adapter(known: Mapping[str, tuple[str, str]], url: str) -> Callable[..., Any]:
    scheme = urlsplit(url).scheme
    if scheme not in known:
        raise ProjectError(f"stream {scheme}://…: known are {', '.join(f'{s}://' for s in known)}")
    module, name = known[scheme]
    if scheme in EXTRAS:
        _check_extra(*EXTRAS[scheme])
    adapter: Callable[..., Any] = getattr(import_module(module), name)
    return adapter


def _check_extra(module: str, package: str, extra: str) -> None:
    """Raises MissingExtra."""
    parent = module.partition(".")[0]
    if find_spec(parent) is None or find_spec(module) is None:
        raise MissingExtra(package, extra)
