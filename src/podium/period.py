"""A stretch of time as people write it: `--since 7d --until 2026-11-01`. UTC throughout."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from podium.errors import BadPeriod

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_EXPECTED = (
    "expected how long ago (30s, 15m, 1h, 7d, 2w), a day (2026-11-01) or a time (2026-11-01T08:30Z), UTC"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Period:
    """From `since` up to, and without, `until`: periods that follow each other share no request."""

    since: datetime
    until: datetime

    @classmethod
    def parse(cls, since: str, until: str | None = None, *, now: datetime) -> Period:
        """`until` is now where nothing is said. Raises BadPeriod for what is no time, or no period."""
        start, end = moment(since, now=now), now if until is None else moment(until, now=now)
        if start >= end:
            raise BadPeriod(f"a period from {shown(start)} to {shown(end)} is empty: give an earlier --since")
        return cls(since=start, until=end)

    @property
    def since_us(self) -> int:
        """Microseconds since the epoch, as frames and tables have them."""
        return microseconds(self.since)

    @property
    def until_us(self) -> int:
        return microseconds(self.until)

    @property
    def first_day(self) -> date:
        return self.since.date()

    def __str__(self) -> str:
        return f"{shown(self.since)} to {shown(self.until)}"


def moment(text: str, *, now: datetime) -> datetime:
    """`7d` (ago), `2026-11-01` (its first moment) or RFC 3339; UTC where nothing else is said.

    Raises BadPeriod.
    """
    text = text.strip()
    try:
        if ago := _AGO.fullmatch(text):
            return now - timedelta(seconds=float(ago[1]) * _SECONDS[ago[2]])
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadPeriod(f"{text!r} is no time: {_EXPECTED}") from None


def moment_of(us: int) -> datetime:
    """Microseconds since the epoch as a time."""
    return EPOCH + timedelta(microseconds=us)


def microseconds(at: datetime) -> int:
    return (at - EPOCH) // _MICROSECOND


def shown(at: datetime) -> str:
    """As RFC 3339 to the second, which `moment` reads again."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
