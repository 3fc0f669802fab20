"""Guards: rules on the last minute's counts that make an endpoint roll back by itself."""

from __future__ import annotations

from collections import deque
from typing import Literal

import msgspec

from podium import counters
from podium.counters import total
from podium.records import Guards, Policy, Role

Guard = Literal["errors", "late", "defaults", "disagreement"]


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


def counted(boards: counters.Counts, policy: Policy) -> Counts:
    """What the boards of all processes say of this policy's champion and canary, all-time.

    Of several canaries the rows of all are counted.
    """
    champion = {"model": policy.champion.model, "version": policy.champion.version}
    canaries = [c for c in policy.scoring if c.role is Role.CANARY]
    errors = total(boards, "errors", **champion)
    compared, agreed = (
        sum(total(boards, name, model=c.model, version=c.version) for c in canaries)
        for name in ("compared", "agreed")
    )
    return Counts(
        scored=total(boards, "scored", **champion) + errors,
        errors=errors,
        late=total(boards, "late", **champion),
        answered=total(boards, "answered"),
        defaults=total(boards, "defaulted"),
        compared=compared,
        disagreed=compared - agreed,
    )


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """A guard whose bound was passed: `measured` is the part, `count` of how many."""

    guard: Guard
    measured: float
    bound: float
    count: int
    words: str


class Window:
    """The last `seconds` of a champion's counters, which only grow; the next champion needs a new one."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._readings: deque[tuple[float, Counts]] = deque()

    def add(self, at: float, counts: Counts) -> Counts:
        """Take in what the counters say at a time (seconds, on any clock), and return the window's counts.

        The window begins at the last reading that is at least `seconds` old, or at the first one. A counter
        that fell (a new run) begins it anew.
        """
        if self._readings and min(_values(_less(counts, self._readings[-1][1]))) < 0:
            self._readings.clear()
        self._readings.append((at, counts))
        while len(self._readings) > 1 and self._readings[1][0] <= at - self._seconds:
            self._readings.popleft()
        return _less(counts, self._readings[0][1])


def check(guards: Guards, window: Counts) -> Breach | None:
    """The first guard whose bound is passed, of those of which the window holds enough."""
    found = (
        _breach("errors", guards, window.errors, window.scored, "of the champion's scores are errors"),
        _breach("late", guards, window.late, window.scored, "of the champion's scores are late"),
        _breach("defaults", guards, window.defaults, window.answered, "of the answers are the default"),
        _breach(
            "disagreement", guards, window.disagreed, window.compared, "of the rows are not as the canary's"
        ),
    )
    return next((breach for breach in found if breach), None)


def _breach(guard: Guard, guards: Guards, bad: int, count: int, are: str) -> Breach | None:
    bound: float | None = getattr(guards, guard)
    if bound is None or count < max(1, guards.requests) or bad <= bound * count:
        return None
    part = bad / count
    words = f"{part:.2%} {are}, {bad:,} of {count:,} in {guards.window_s:g} s; at most {bound:.2%} may be"
    return Breach(guard=guard, measured=part, bound=bound, count=count, words=words)


_values = msgspec.structs.astuple


def _less(counts: Counts, before: Counts) -> Counts:
    pairs = zip(Counts.__struct_fields__, _values(counts), _values(before), strict=True)
    return Counts(**{name: now - then for name, now, then in pairs})
