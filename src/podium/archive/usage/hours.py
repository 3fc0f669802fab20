"""Hours of the UTC day, as numbers since the epoch and as SQL has them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from itertools import groupby

from podium.period import EPOCH

HOUR_US = 3_600_000_000


def hour_of(time: str) -> str:
    """The hour of a column of times."""
    return f"(epoch_us({time}) // {HOUR_US})"


def day_of(hour: int) -> date:
    return (EPOCH + timedelta(hours=hour)).date()


def by_day(hours: Iterable[int]) -> dict[date, tuple[int, ...]]:
    """The hours of each day, all in order."""
    return {day: tuple(some) for day, some in groupby(sorted(hours), key=day_of)}
