"""The seam between the step and what is asked: a source, and which one the settings mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Protocol, Self

from podium.gateway.features.values import Found
from podium.run import Features
from podium.schema import Schema
from podium.validation import Rows


class Source(Protocol):
    """Where features come from. `async with` starts it."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *raised: object) -> None: ...

    async def find(self, parts: Sequence[Rows]) -> Found:
        """The features of all rows of these requests, in order.

        Raises FeaturesFailed. It may be cancelled at any time, when nobody waits for it any more.
        """
        ...


Stale = Callable[[int], None]
"""Told 1 when what a source knows is older than it should be, or nothing, and 0 when it is not."""


def source_of(features: Features, asked: Schema, stale: Stale) -> Source:
    """The source that the settings name; `asked` is what clients send. Raises MissingExtra."""
    match features.source:
        case "module":
            from podium.gateway.features.function import FunctionSource  # the one that was chosen

            return FunctionSource(features, asked)
        case "table":
            from podium.gateway.features.table import TableSource  # the same

            return TableSource(features, asked, stale)
        case "redis":
            from podium.gateway.features.redis import RedisSource  # the same, and an extra

            return RedisSource(features, asked)
        case _:
            from podium.gateway.features.service import ServiceSource  # the same

            return ServiceSource(features, asked)


def check(features: Features, asked: Schema) -> None:
    """What can be known of a source before requests come.

    Raises ProjectError with the line of the source for a function or table that cannot be used, MissingExtra.
    A service or Redis that is away now may be there later: that is no mistake of the file.
    """
    match features.source:
        case "module":
            from podium.gateway.features.function import load  # as above

            load(features)
        case "table":
            from podium.gateway.features.table import read  # as above

            read(features, asked[features.key])
        case "redis":
            import_module("podium.gateway.features.redis")
