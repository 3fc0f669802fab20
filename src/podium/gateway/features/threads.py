"""Calls beside the event loop, in threads for which nobody waits in the end."""

from __future__ import annotations

import asyncio
import sys
import threading
from asyncio import Future
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

SWITCH_SECONDS = 0.0005
"""How long such a thread may go on in Python while the event loop wants to; usually it is ten times that."""


class Threads:
    """At most so many calls at once; others wait their turn. `start` in the event loop.

    The library's pool waits at exit for each call, also for one that hangs.
    """

    def __init__(self, count: int, *, name: str) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name} {number}", daemon=True)
            for number in range(1, count + 1)
        ]

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        sys.setswitchinterval(SWITCH_SECONDS)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Each thread ends after what it does now."""
        for _ in self._threads:
            self._calls.put(None)

    async def run(self, call: Callable[[], T]) -> T:
        """What it returns or raises. A call that nobody waits for any more runs on, or does not begin."""
        future: Future[T] = self._loop.create_future()
        self._calls.put((future, call))
        return await future

    # --- in a thread ------------------------------------------------------------------------

    def _work(self) -> None:
        while (asked := self._calls.get()) is not None:
            future, call = asked
            if future.cancelled():
                continue
            try:
                result, error = call(), None
            except Exception as raised:
                result, error = None, raised
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(_settle, future, result, error)


def _settle(future: Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
