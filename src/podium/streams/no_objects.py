"""For a stream without an object store: inputs that are too large for its messages are refused."""

from __future__ import annotations

from types import TracebackType

from podium.errors import BodyLost, TooLarge


class NoObjectStore:
    """Takes nothing and has nothing; otherwise see `podium.streams.objects.ObjectStore`."""

    def __init__(self, url: str, endpoint: str, *, ttl: float, max_bytes: int) -> None:
        """Every store is made like this; there is nothing that these could be about."""

    async def __aenter__(self) -> NoObjectStore:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""

    async def put(self, name: str, content: bytes, *, sha256: bytes) -> None:
        """Raises TooLarge."""
        raise TooLarge(
            f"an input of {len(content)} bytes is over the limit: this stream takes only what fits a message"
        )

    async def get(self, name: str) -> bytes:
        """Raises BodyLost."""
        raise BodyLost(f"there is no object {name}: this stream has no object store")

    async def delete(self, name: str) -> None:
        """Whatever it is, it is not there."""
