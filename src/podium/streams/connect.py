"""Which adapter a URL means."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from urllib.parse import urlsplit

from podium.errors import ProjectError
from podium.streams.base import Stream

ADAPTERS = {"nats": ("podium.streams.nats", "NatsStream")}


def connect(
    url: str,
    endpoint: str,
    *,
    lost: Callable[[int], None] = lambda count: None,
    overdue: Callable[[int], None] = lambda count: None,
) -> AbstractAsyncContextManager[Stream]:
    """A stream for one endpoint, not connected yet. Raises ProjectError for an unknown scheme.

    `lost` is told of messages that could not be kept, `overdue` how many the broker should have
    confirmed by now.
    """
    scheme = urlsplit(url).scheme
    if scheme not in ADAPTERS:
        raise ProjectError(f"stream {scheme}://…: known are {', '.join(f'{s}://' for s in ADAPTERS)}")
    module, name = ADAPTERS[scheme]
    adapter: AbstractAsyncContextManager[Stream] = getattr(import_module(module), name)(
        url, endpoint, lost=lost, overdue=overdue
    )
    return adapter
