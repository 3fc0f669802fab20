"""Guards: rules on the last minute's counts that make an endpoint roll back by itself."""

from __future__ import annotations

from typing import Literal

import msgspec

from podium.records import Guards


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of one champion, all-time or of a window: each is a part of the one named before it.

    `scored` is the requests that the champion was asked to score, with `errors` and `late` among them;
    `answered` the answers, with `defaults` among them; `compared` the rows that champion and canary scored,
    with `disagreed` among them.
    """

    scored: int = 0
    errors: int = 0
    late: int = 0
    answered: int = 0
    defaults: int = 0
    compared: int = 0
    disagreed: int = 0


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """A guard whose bound was passed: `measured` is the part, `count` of how many."""

    guard: Literal["errors", "late", "defaults", "disagreement"]
    measured: float
    bound: float
    count: int
    words: str


class Window:
    """The last `seconds` of counters that only grow."""

    def __init__(self, seconds: float) -> None:
        raise NotImplementedError

    def add(self, at: float, counts: Counts) -> Counts:
        """Take in what the counters say at a time (seconds, on any clock), and return the window's counts.

        The window begins at the last reading that is at least `seconds` old, or at the first one. A counter
        that fell (another champion, a new run) begins it anew.
        """
        raise NotImplementedError


def check(guards: Guards, window: Counts) -> Breach | None:
    """The first guard whose bound is passed, of those of which the window holds enough."""
    raise NotImplementedError
