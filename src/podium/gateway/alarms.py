"""When requests must be looked at again though no score came: one timer for all of them."""

from __future__ import annotations

import asyncio
import heapq
import math
import time
from itertools import count

from podium.gateway.flights import Flight
from podium.gateway.requests import Group


class Alarms:
    """Groups of requests by the time at which they want to be looked at (monotonic clock, s).

    Almost every one is decided long before; those fall out unseen, so that at full load
    the timer still rings only about once a deadline.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Flight, Group]] = []
        self._order = count()
        self._timer: asyncio.Handle | None = None
        self._rings_at = math.inf
        self._ringing = asyncio.Event()

    def set(self, when: float, flight: Flight, group: Group) -> None:
        heapq.heappush(self._heap, (when, next(self._order), flight, group))
        if when < self._rings_at:
            self._start_timer()

    async def due(self) -> list[tuple[Flight, Group]]:
        """Wait until somebody is due; returns all who are."""
        await self._ringing.wait()
        self._ringing.clear()
        now = time.monotonic()
        found = []
        while self._heap and (self._heap[0][0] <= now or self._heap[0][3].mailbox.decided):
            _, _, flight, group = heapq.heappop(self._heap)
            if not group.mailbox.decided:
                found.append((flight, group))
        self._start_timer()
        return found

    def _start_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = self._heap[0][0] if self._heap else math.inf
        if self._heap:
            # The event loop's clock is the monotonic clock.
            self._timer = asyncio.get_running_loop().call_at(self._rings_at, self._ringing.set)
