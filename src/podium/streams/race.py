"""Several ways to the same thing, of which the first that leads there is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

Won = TypeVar("Won")


async def first(
    ways: Sequence[Callable[[], Coroutine[Any, Any, Won]]],
    *,
    stagger: float,
    discard: Callable[[Won], None],
) -> Won:
    """What the first way that succeeds returns; the next one is tried when one fails or after `stagger` s.

    The others are cancelled, and what one of them has come to all the same is given to `discard`. When
    all fail, raises what the first of them did that is no OSError: who was let in nowhere wants to
    know of a wrong password rather than of a port that is closed.
    """
    left = list(ways)
    running: set[asyncio.Task[Won]] = set()
    won: list[Won] = []
    failures: list[BaseException] = []
    try:
        while (left or running) and not won:
            if left:
                running.add(asyncio.create_task(left.pop(0)()))
            done, running = await asyncio.wait(
                running, timeout=stagger if left else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                if error := task.exception():
                    failures.append(error)
                else:
                    won.append(task.result())
    finally:
        for task in running:
            task.cancel()
        late = await asyncio.gather(*running, return_exceptions=True)
        for each in [*won[1:], *late]:
            if not isinstance(each, BaseException):
                discard(each)
    if won:
        return won[0]
    raise next((error for error in failures if not isinstance(error, OSError)), failures[-1])
