"""When to ask again: a pure decision, time comes in."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

from podium.client.wire import Reply
from podium.errors import Unreachable

AGAIN = (429, 502, 503)
"""Statuses of a request that was not let in; 502 is a proxy's word for a gateway that is gone."""

FIRST_SECONDS = 0.05
MOST_SECONDS = 2.0


class Tries:
    """The tries of one call, which all have the same id. `began` is on a monotonic clock, in seconds."""

    def __init__(self, began: float, seconds: float, *, dice: Callable[[], float] = random.random) -> None:
        self._end = began + seconds
        self._dice = dice
        self._failed = 0

    def left(self, now: float) -> float:
        """Seconds until the call must have ended."""
        return self._end - now

    def pause(self, met: Reply | Unreachable, now: float) -> float | None:
        """Seconds to wait before another try; None where this one was the last.

        No two clients that met the same wait equally long, so they do not come back together.
        """
        if isinstance(met, Reply) and met.status not in AGAIN:
            return None
        backoff = min(MOST_SECONDS, FIRST_SECONDS * 2**self._failed) * (0.5 + self._dice() / 2)
        self._failed += 1
        asked = retry_after(met.headers) if isinstance(met, Reply) else 0.0
        pause = asked + backoff
        return pause if pause < self.left(now) else None


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that the header asks to wait: a number of them, or a date, told from the reply's own."""
    text = headers.get("retry-after", "")
    if text.isdecimal():
        return float(text)
    try:
        sent, again = (parsedate_to_datetime(date) for date in (headers.get("date", ""), text))
        return max(0.0, (again - sent).total_seconds())
    except (ValueError, TypeError):  # no date; or one of two that has a zone
        return 0.0
