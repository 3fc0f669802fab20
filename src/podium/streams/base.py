"""The seam between Podium and a broker.

Every adapter passes `tests/contracts/test_streams.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

Receive: TypeAlias = Callable[[bytes], None]
"""Is called in the event loop, in the order of the messages, and must not wait for anything."""


class Kept(NamedTuple):
    """A message as the stream keeps it: its payload, and its position, which only ever grows."""

    position: int
    payload: bytes


class Subscription(Protocol):
    """Somebody who listens."""

    def settle(self, outcomes: Sequence[str]) -> None:
        """Say what became of the oldest messages received: nothing for well, or why one is of no use.

        For a subscription that `settles`. Where the broker can, it gives what was not settled when its
        receiver ended to another of the group, and puts aside what is of no use.
        """

    async def close(self) -> None:
        """Receive nothing more; messages that are here already are still handled."""


class Stream(Protocol):
    """A connection to a broker for one endpoint's messages. `async with` connects.

    What is published under `input`, `scores.ADDRESS`, `answers`, `decoy` or `outcomes` is kept by
    the broker until it is trimmed. A message goes at once to those who listen and, if it is kept,
    to the file, independently. What one connection publishes is kept in that order. What the
    broker may not have kept, because it went away, is published again when it is back, for
    readers only: a reader may see a message twice, and drops it by its source and seq.
    """

    def publish(self, subject: str, payload: bytes) -> None:
        """Hand over to the broker, and wait for nothing.

        It has left this process when this returns, unless the broker hangs and takes no more.

        While the broker is away a message to be kept waits for its return, for readers only, and
        any other raises StreamAway. Raises TooLarge over the broker's limit.
        """

    async def subscribe(
        self, subject: str, receive: Receive, group: str = "", *, settles: bool = False
    ) -> Subscription:
        """Call `receive` with each message from now on.

        Of the subscribers that share a `group`, one gets each message. One that `settles` says of each
        message when it is done with it. Returns when the broker knows of it.
        """

    async def read(self, after: int, limit: int, wait: float) -> list[Kept]:
        """Up to `limit` kept messages past position `after`; waits up to `wait` s for the first.

        Raises StreamAway while the broker cannot be read.
        """

    async def last(self) -> int:
        """The position of the newest kept message; 0 where none is kept. Raises StreamAway."""

    async def trim(self, upto: int) -> None:
        """Forget kept messages up to and including this position."""

    def linger(self, seconds: float) -> None:
        """From now on messages may wait so long for company: one turn then handles all of them."""

    @property
    def limit(self) -> int:
        """The largest payload, in bytes."""

    @property
    def connected(self) -> bool:
        """Whether the broker is there now."""
