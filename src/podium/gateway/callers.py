"""Who calls: a request's key, looked up and let in by its rate. The same for every door.

All in this process's memory: keys come in from the policy store, which tells of each change.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from hashlib import sha256
from math import ceil
from typing import Any

from podium.callers import ANONYMOUS, OTHERS, PREFIX, Key, Rate
from podium.counters import Board
from podium.errors import OverRate, UnknownCaller

HEADER = "x-api-key"
ROUNDING = 1e-9
LABELLED = 100
"""Callers that metrics tell apart, the first that there were, revoked or not: the same in each gateway and
after each start. The archive has all of them by name."""

_SEND = f"send `Authorization: Bearer {PREFIX}…`, or `X-API-Key`"


class Callers:
    """The keys of one endpoint. Requests without one are anonymous, unless keys are `required`."""

    def __init__(self, board: Board, *, required: bool) -> None:
        self._board = board
        self._required = required
        self._live: dict[bytes, _Caller] = {}
        self._revoked: set[bytes] = set()
        self._labels: dict[str, str] = {}
        self._followed = board.gauge("keys_followed")
        self._anonymous = board.counter("caller_requests", caller=ANONYMOUS)

    def follow(self, key: Key) -> None:
        """Told of a key: that it is there, perhaps again and late, or that it is revoked, for good."""
        digest = bytes.fromhex(key.digest)
        self._labels.setdefault(key.name, key.name if len(self._labels) < LABELLED else OTHERS)
        if key.revoked is not None:
            self._revoked.add(digest)
            self._live.pop(digest, None)
        elif digest not in self._revoked and digest not in self._live:
            self._live[digest] = _Caller(key, self._board, self._labels[key.name])
        self._followed.set(len(self._live) + 2 * len(self._revoked))

    def let_in(self, headers: Mapping[str, Any]) -> str | None:
        """Whose request it is, by its headers or gRPC's metadata; None where it brings no key.

        Raises UnknownCaller, OverRate.
        """
        token = token_of(headers)
        if token is None:
            if self._required:
                raise UnknownCaller(f"this endpoint answers nobody without a key: {_SEND}")
            self._anonymous.add()
            return None
        caller = self._live.get(sha256(token.encode()).digest())
        if caller is None:
            raise UnknownCaller("there is no such key, or it was revoked; ask the endpoint's owner for one")
        caller.let_in()
        return caller.name


class _Caller:
    """One key in use: its caller's name, its own rate, its caller's counts."""

    __slots__ = ("_bucket", "_limited", "_requests", "name")

    def __init__(self, key: Key, board: Board, label: str) -> None:
        self.name = key.name
        self._bucket = Bucket(key.rate) if key.rate else None
        self._requests = board.counter("caller_requests", caller=label)
        self._limited = board.counter("caller_limited", caller=label)

    def let_in(self) -> None:
        """Raises OverRate."""
        if self._bucket is not None and (wait := self._bucket.take(time.monotonic())):
            self._limited.add()
            raise OverRate(
                f"{self.name}'s key lets in {self._bucket.rate}; try again in {ceil(wait)} s",
                seconds=ceil(wait),
            )
        self._requests.add()


class Bucket:
    """A token bucket: full at first, it holds a period's requests and fills steadily."""

    __slots__ = ("_at", "_left", "rate")

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._left = float(rate.requests)
        self._at = 0.0

    def take(self, now: float) -> float:
        """Let one in at this time (s): 0.0, or seconds until one would be."""
        most, seconds = self.rate.requests, self.rate.seconds
        self._left = min(most, self._left + (now - self._at) * most / seconds)
        self._at = now
        if self._left < 1.0 - ROUNDING:
            return (1.0 - self._left) * seconds / most
        self._left -= 1.0
        return 0.0


def token_of(headers: Mapping[str, Any]) -> str | None:
    """The token among headers. What does not begin as one is somebody else's: a proxy's, an admin's."""
    given = headers.get(HEADER)
    if given is not None and given.startswith(PREFIX):
        return str(given)
    given = headers.get("authorization")
    if given is None:
        return None
    scheme, _, rest = str(given).partition(" ")
    token = rest.strip()
    return token if token.startswith(PREFIX) and scheme.lower() == "bearer" else None
