"""Inputs that were too large for a message: their values, fetched while they are still there.

Without a store nothing is fetched: their rows hold digests, and no values.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import msgspec

from podium.archive import names
from podium.archive.entries import Entry
from podium.counters import Board
from podium.errors import BodyLost, PodiumError, StreamAway
from podium.protocol.frames import InputFrame, Tensor
from podium.protocol.large import restored

log = logging.getLogger(__name__)

PART_BYTES = 64 * 1024 * 1024
"""So many bytes of large inputs are written in one commit, at least one input at a time."""

TRIES = 20
TRY_SECONDS = 0.25
"""A broker that restarts is back within this many tries; longer, and the values are given up."""


class Store(Protocol):
    """What the archiver needs of a `podium.streams.objects.ObjectStore`."""

    async def get(self, name: str) -> bytes: ...

    async def delete(self, name: str) -> None: ...


class Bodies:
    """Brings large inputs to the rows of their requests, and counts as `bodies_lost` what is not there.

    The decoy's rows keep the digest alone: the values are in those of the request.
    """

    def __init__(self, store: Store | None, board: Board) -> None:
        self._store = store
        self._lost = board.counter("bodies_lost")

    async def whole(
        self, entries: Sequence[Entry[Any]], *, has: Callable[[str, str, int], bool]
    ) -> AsyncIterator[list[Entry[Any]]]:
        """The entries, in order, in parts that memory bears. What a table `has` already is not fetched."""
        part: list[Entry[Any]] = []
        weight = 0
        for entry in entries:
            if self._is_wanted(entry) and not has(entry.table, entry.source, entry.seq):
                size = sum(each.size for each in entry.frame.large.values())
                if weight and weight + size > PART_BYTES:
                    yield part
                    part, weight = [], 0
                weight += size
                part.append(await self._with_values(entry))
            else:
                part.append(entry)
        yield part

    async def forget(self, entries: Sequence[Entry[Any]]) -> None:
        """The store need not hold what is archived."""
        for entry in entries:
            if self._store is not None and self._is_wanted(entry):
                for each in entry.frame.large.values():
                    try:
                        await self._store.delete(each.object)
                    except PodiumError as error:  # then its time to live ends it
                        log.warning("a large input stays until its time is over: %s", error)

    def _is_wanted(self, entry: Entry[Any]) -> bool:
        return self._store is not None and bool(entry.large) and entry.table == names.REQUESTS

    async def _with_values(self, entry: Entry[InputFrame]) -> Entry[InputFrame]:
        columns = dict(entry.frame.columns)
        for name, packed in entry.large.items():
            try:
                columns[name] = await self._values(entry.frame, name, packed)
            except PodiumError as error:
                self._lost.add(len(entry.ids))
                log.error("the archive has the digest alone of %r of %s: %s", name, entry.ids[0], error)
        return replace(entry, frame=msgspec.structs.replace(entry.frame, columns=columns))

    async def _values(self, frame: InputFrame, name: str, packed: Tensor) -> Tensor:
        assert self._store is not None
        assert frame.large is not None
        reference = frame.large[name]
        for _ in range(TRIES):
            try:
                content = await self._store.get(reference.object)
            except StreamAway:
                await asyncio.sleep(TRY_SECONDS)
            else:
                return await asyncio.to_thread(restored, packed, reference, content)
        raise BodyLost("the object store is away")
