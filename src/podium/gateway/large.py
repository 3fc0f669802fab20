"""Inputs that are too large for a message: on their way into the stream's object store, and out of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from podium.errors import PodiumError, TooManyRequests
from podium.protocol import large
from podium.protocol.frames import Reference, Tensor
from podium.run import Large
from podium.streams.objects import ObjectStore

log = logging.getLogger(__name__)

COUNTED_BYTES = 1024 * 1024
"""Smaller bodies are bounded by how many requests may be in flight."""


class Columns(NamedTuple):
    """The columns of a frame, those in `large` without their data."""

    columns: dict[str, Tensor]
    large: dict[str, Reference]


class LargeInputs:
    """Puts what a frame cannot carry into the store, and forgets it once nobody waits for it.

    What the archive is to keep is left to the archiver to forget.
    """

    def __init__(self, settings: Large, store: ObjectStore) -> None:
        self._settings = settings
        self._store = store
        self._forgetting: set[asyncio.Task[None]] = set()

    async def put(self, columns: Mapping[str, Tensor], seconds: float) -> Columns:
        """Returns at the latest after so many seconds: what is not there by then, workers do not find.

        Raises StoreFull, StreamAway, TooLarge.
        """
        until = asyncio.get_running_loop().time() + seconds
        names = large.chosen(columns, self._settings.threshold)
        # In a thread: a digest of many megabytes takes longer than most answers.
        contents = {name: await asyncio.to_thread(_content, columns[name]) for name in names}
        references = {name: found for name, (_, found) in contents.items()}
        try:
            async with asyncio.timeout_at(until), asyncio.TaskGroup() as tasks:
                for content, found in contents.values():
                    tasks.create_task(self._store.put(found.object, content, sha256=found.digest))
        except TimeoutError:
            log.warning("a large input was not in the store by its deadline")
        except BaseExceptionGroup as errors:
            self.forget(references.values())
            raise errors.exceptions[0] from None
        emptied = {name: large.emptied(columns[name]) for name in references}
        return Columns({**columns, **emptied}, references)

    def forget(self, references: Iterable[Reference]) -> None:
        """Nobody waits for these any more; waits for nothing."""
        if self._settings.keep:
            return
        for each in references:
            task = asyncio.create_task(self._forget(each), name="gateway forgets a large input")
            self._forgetting.add(task)
            task.add_done_callback(self._forgetting.discard)

    async def _forget(self, reference: Reference) -> None:
        try:
            await self._store.delete(reference.object)
        except PodiumError as error:  # then its time to live ends it
            log.warning("a large input stays until its time is over: %s", error)

    async def settle(self) -> None:
        """Return when all is forgotten that should be."""
        while self._forgetting:
            await asyncio.wait(self._forgetting)


def _content(packed: Tensor) -> tuple[bytes, Reference]:
    content = large.content(packed)
    return content, large.reference(content)


class Room:
    """Memory for the large bodies that one gateway holds at a time. One that is alone always finds room."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        self.take(size)
        try:
            yield
        finally:
            self.give_back(size)

    def take(self, size: int) -> None:
        """Raises TooManyRequests."""
        if size <= COUNTED_BYTES:
            return
        if self._held and self._held + size > self._limit:
            raise TooManyRequests(
                f"{self._held} bytes of large bodies are in flight, and {size} more are over the limit of "
                f"{self._limit}"
            )
        self._held += size

    def give_back(self, size: int) -> None:
        if size > COUNTED_BYTES:
            self._held -= size
