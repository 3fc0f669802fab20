"""What a client may send, and for how long it may take."""

from __future__ import annotations

import asyncio
import re
from asyncio import CancelledError, Future
from contextlib import suppress
from types import TracebackType

from podium.errors import (
    BadInput,
    InvalidInput,
    OverRate,
    SlowBody,
    Stopping,
    StoreFull,
    StreamAway,
    TooLarge,
    TooManyRequests,
    UnknownCaller,
    UnknownEncoding,
    UnknownRequest,
)
from podium.gateway.large import COUNTED_BYTES, Room
from podium.gateway.rsgi import Protocol, ProtocolClosed, Scope
from podium.run import Limits

ID_LENGTH = 200
DISCARDED = 8
"""Times the limit that is still read of a body that was refused."""

REFUSALS = (
    UnknownCaller,
    OverRate,
    BadInput,
    UnknownEncoding,
    UnknownRequest,
    TooLarge,
    SlowBody,
    TooManyRequests,
    Stopping,
    StreamAway,
    StoreFull,
)
"""What keeps a request out; the rest is answered, or was never a request to be scored."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s)")


class Bodies:
    """Reads bodies that are neither too large nor too slow. `async with` starts its clock.

    One clock for all of them: a timer for each request would cost more than reading most bodies.
    """

    def __init__(self, limits: Limits, room: Room) -> None:
        self._limits = limits
        self._room = room
        self._reading: dict[Future[bytes], None] = {}
        self._before: dict[Future[bytes], None] = {}

    async def read(self, scope: Scope, protocol: Protocol) -> bytes:
        """The body; a large one has its room until this task ends.

        Raises TooLarge before reading what is announced as too large, TooManyRequests, SlowBody.
        """
        announced = scope.headers.get("content-length")
        if announced is None:
            return await self._read_chunks(protocol)
        if not announced.isdigit() or int(announced) > self._limits.body_bytes:
            raise _too_large(self._limits)
        self._hold(int(announced))
        body = protocol()
        reading = self._reading
        reading[body] = None
        try:
            return await body
        except CancelledError:
            if body.cancelled():
                raise _too_slow(self._limits) from None
            raise
        finally:
            del reading[body]

    def _hold(self, size: int) -> None:
        if size <= COUNTED_BYTES:
            return
        self._room.take(size)
        if task := asyncio.current_task():
            task.add_done_callback(lambda _: self._room.give_back(size))

    async def discard(self, protocol: Protocol) -> None:
        """After the refusal of a body: read on for a while and keep nothing.

        A client that is cut off while it sends sees a broken connection, and never the refusal.
        """
        left = DISCARDED * self._limits.body_bytes
        with suppress(TimeoutError, ProtocolClosed):
            async with asyncio.timeout(self._limits.body_seconds):
                async for chunk in protocol:
                    left -= len(chunk)
                    if left < 0:
                        return

    async def _read_chunks(self, protocol: Protocol) -> bytes:
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                async for chunk in protocol:
                    if size <= COUNTED_BYTES < size + len(chunk):
                        self._hold(self._limits.body_bytes)  # how much more comes nobody says
                    size += len(chunk)
                    if size > self._limits.body_bytes:
                        raise _too_large(self._limits)
                    chunks.append(chunk)
        except TimeoutError:
            raise _too_slow(self._limits) from None
        return b"".join(chunks)

    async def __aenter__(self) -> Bodies:
        self._clock = asyncio.create_task(self._turn(), name="gateway bodies")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clock.cancel()

    async def _turn(self) -> None:
        """Whoever is still sending after a whole turn is cut off."""
        while True:
            await asyncio.sleep(self._limits.body_seconds)
            for body in list(self._before):
                body.cancel()
            self._before, self._reading = self._reading, {}


def _too_large(limits: Limits) -> TooLarge:
    return TooLarge(f"the body is over the limit of {limits.body_bytes} bytes")


def _too_slow(limits: Limits) -> SlowBody:
    return SlowBody(f"the body did not arrive within {limits.body_seconds:g} s")


def deadline_ms(header: str | None) -> float | None:
    """`50ms` or `0.05s` in milliseconds. Raises InvalidInput."""
    if header is None:
        return None
    found = _DURATION.fullmatch(header.strip())
    if not found:
        raise InvalidInput(
            f"podium-deadline is {header!r}",
            path="header podium-deadline",
            expected="a duration such as 50ms",
        )
    return float(found[1]) * (1000 if found[2] == "s" else 1)


def caller_id(header: str | None) -> str | None:
    """The caller's own request id. Raises InvalidInput for one that could not be a header again."""
    if header is not None and not (
        0 < len(header) <= ID_LENGTH and header.isprintable() and header.isascii()
    ):
        raise InvalidInput(
            "podium-id cannot be kept",
            path="header podium-id",
            expected=f"1 to {ID_LENGTH} printable characters",
        )
    return header
