"""The feature step: what is looked up for requests, once, before their frame leaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import numpy as np

from podium.archive.archiver import Loud
from podium.counters import Board
from podium.errors import FeaturesFailed
from podium.gateway.features.sources import Source
from podium.gateway.features.values import Found, Why, completed, defaults
from podium.run import Features
from podium.validation import Rows

_COUNTED = tuple(why for why in Why if why is not Why.NOTHING)


class Step:
    """Asks a source that has been started, under a budget; whatever goes wrong is a default, and counted."""

    def __init__(self, features: Features, source: Source, board: Board) -> None:
        self.budget = features.budget_ms / 1000
        self._fields = features.fields
        self._source = source
        self._loud = Loud()
        self._rows = board.counter("feature_rows")
        self._defaulted = {
            why: board.counter("features_defaulted", reason=why.name.lower()) for why in _COUNTED
        }
        self._ms = board.histogram("features_ms")

    async def complete(self, parts: Sequence[Rows], seconds: float) -> list[Rows]:
        """These requests' rows with their features, after so many seconds at the latest."""
        began = time.monotonic()
        count = sum(part.count for part in parts)
        found = await self._found(parts, count, seconds)
        self._ms.add((time.monotonic() - began) * 1000, len(parts))
        self._count(found)
        return completed(parts, found)

    async def _found(self, parts: Sequence[Rows], count: int, seconds: float) -> Found:
        try:
            async with asyncio.timeout(seconds):
                return await self._source.find(parts)
        except TimeoutError:
            self._loud.say("features: not there within %.0f ms; see docs/features.md", seconds * 1000)
            return defaults(self._fields, count, Why.LATE)
        except FeaturesFailed as error:
            self._loud.say("features: %s", error)
        except Exception as error:  # a library's own: a request is answered whatever it meets
            self._loud.say("features: %s: %s", type(error).__name__, error)
        return defaults(self._fields, count, Why.FAILED)

    def _count(self, found: Found) -> None:
        self._rows.add(len(found.why))
        if found.why.any():
            counts = np.bincount(found.why, minlength=len(Why))
            for why, counter in self._defaulted.items():
                counter.add(int(counts[why]))
