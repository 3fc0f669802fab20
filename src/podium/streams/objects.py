"""The seam between Podium and where inputs are kept that are too large for a message.

Every adapter passes `tests/contracts/test_objects.py`. A stream without such a store has `no_objects.py`
in its place.
"""

from __future__ import annotations

from typing import Protocol


class ObjectStore(Protocol):
    """One endpoint's large objects. `async with` makes it ready; it connects when it is first used.

    An object is put once and never changes. It is gone when it is deleted, or when its time to live is
    over. All methods raise StreamAway while the store cannot be reached.
    """

    async def put(self, name: str, content: bytes, *, sha256: bytes) -> None:
        """Keep an object, of which that is the digest. Raises StoreFull, and then nothing of it is kept.

        Raises TooLarge where there is no such store.
        """

    async def get(self, name: str) -> bytes:
        """Its bytes. Raises BodyLost where it is not there."""

    async def delete(self, name: str) -> None:
        """Forget it, if it is there."""
