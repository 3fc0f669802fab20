"""A source that does as it is told, in place of one that is away: that is how a test has its faults."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Self

from tests.unit.gateway.features.asked import FIELDS, features
from tests.unit.workers.stage import PATIENCE

from podium.errors import FeaturesFailed
from podium.gateway.features.values import Found, of_rows
from podium.validation import Rows

BUDGET_MS = 50.0
SETTINGS = features("url", "http://127.0.0.1:9", budget_ms=BUDGET_MS)
KNOWN: dict[str, dict[str, Any]] = {
    "a": {"income": 10.0, "segment": "x"},
    "b": {"income": "junk", "segment": "y"},
}


class Scripted:
    """It does what is to be done before it answers."""

    def __init__(self, before: Callable[[Sequence[str]], Awaitable[None]] | None = None) -> None:
        self.asked: list[list[str]] = []
        self._before = before

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        pass

    async def find(self, parts: Sequence[Rows]) -> Found:
        keys = [key for part in parts for key in part.columns[0]]
        self.asked.append(keys)
        if self._before:
            await self._before(keys)
        return of_rows(FIELDS, [KNOWN.get(key) for key in keys])


async def trouble(keys: Sequence[str]) -> None:
    if "late" in keys:
        await asyncio.sleep(PATIENCE)
    if "failed" in keys:
        raise FeaturesFailed("nothing listens there")
    if "bug" in keys:
        raise ZeroDivisionError("of a library")
