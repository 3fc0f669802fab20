"""Large objects in this process's memory: for tests."""

from __future__ import annotations

import time
from types import TracebackType

from podium.errors import BodyLost, StoreFull, StreamAway


class MemoryCellar:
    """What the connections to one store share. `ttl` is in seconds."""

    def __init__(self, *, ttl: float = 60.0, max_bytes: int = 64 * 1024 * 1024) -> None:
        self.up = True
        self.ttl = ttl
        self.max_bytes = max_bytes
        self.objects: dict[str, tuple[float, bytes]] = {}

    def crash(self) -> None:
        self.up = False

    def start(self) -> None:
        self.up = True

    def expire(self) -> None:
        now = time.monotonic()
        self.objects = {name: kept for name, kept in self.objects.items() if kept[0] > now}


class MemoryObjectStore:
    """See `podium.streams.objects.ObjectStore`."""

    def __init__(self, cellar: MemoryCellar) -> None:
        self._cellar = cellar

    async def __aenter__(self) -> MemoryObjectStore:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""

    async def put(self, name: str, content: bytes, *, sha256: bytes) -> None:
        cellar = self._opened()
        held = sum(len(kept) for _, kept in cellar.objects.values())
        if held + len(content) > cellar.max_bytes:
            raise StoreFull(f"no room for {len(content)} bytes; try again in a moment")
        cellar.objects[name] = (time.monotonic() + cellar.ttl, content)

    async def get(self, name: str) -> bytes:
        kept = self._opened().objects.get(name)
        if kept is None:
            raise BodyLost(f"there is no object {name} (any more)")
        return kept[1]

    async def delete(self, name: str) -> None:
        self._opened().objects.pop(name, None)

    def _opened(self) -> MemoryCellar:
        if not self._cellar.up:
            raise StreamAway("the object store is away; try again in a moment")
        self._cellar.expire()
        return self._cellar
