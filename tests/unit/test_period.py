"""Stretches of time, as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.errors import BadPeriod
from podium.period import EPOCH, Period, microseconds, moment, shown

NOW = datetime(2026, 11, 24, 13, 30, 15, 250_000, tzinfo=UTC)
MOMENTS = st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("30s", timedelta(seconds=30)),
        ("15m", timedelta(minutes=15)),
        ("1.5h", timedelta(hours=1.5)),
        ("7d", timedelta(days=7)),
        (" 2w ", timedelta(weeks=2)),
        ("1 h", timedelta(hours=1)),
    ],
)
def test_an_age_is_counted_back_from_now(text: str, ago: timedelta) -> None:
    assert moment(text, now=NOW) == NOW - ago


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T08:30", datetime(2026, 11, 1, 8, 30, tzinfo=UTC)),
        ("2026-11-01 08:30:05.25", datetime(2026, 11, 1, 8, 30, 5, 250_000, tzinfo=UTC)),
        ("2026-11-01T08:30:00Z", datetime(2026, 11, 1, 8, 30, tzinfo=UTC)),
        ("2026-11-01T08:30:00+02:00", datetime(2026, 11, 1, 6, 30, tzinfo=UTC)),
    ],
)
def test_a_day_or_a_time_is_utc_unless_it_says_otherwise(text: str, at: datetime) -> None:
    found = moment(text, now=NOW)
    assert (found, found.tzinfo) == (at, UTC)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "7", "7y", "-7d", "2026-13-01", "d", "1e9d", "99999999999d"]
)
def test_what_is_no_time_is_said_with_what_would_be_one(text: str) -> None:
    with pytest.raises(BadPeriod, match=r"expected how long ago \(30s"):
        moment(text, now=NOW)


def test_a_period_ends_now_where_nothing_is_said() -> None:
    period = Period.parse("1h", now=NOW)
    assert (period.since, period.until) == (NOW - timedelta(hours=1), NOW)
    assert str(period) == "2026-11-24T12:30:15Z to 2026-11-24T13:30:15Z"


@pytest.mark.parametrize(("since", "until"), [("1h", "2h"), ("2026-11-25", None), ("1h", "1h")])
def test_an_empty_period_is_refused(since: str, until: str | None) -> None:
    with pytest.raises(BadPeriod, match="is empty"):
        Period.parse(since, until, now=NOW)


@given(MOMENTS)
def test_microseconds_are_exact(at: datetime) -> None:
    assert EPOCH + timedelta(microseconds=microseconds(at)) == at


@given(MOMENTS, st.integers(-14, 14))
def test_a_moment_is_read_back_as_it_is_shown_from_any_zone(at: datetime, hours: int) -> None:
    elsewhere = at.astimezone(timezone(timedelta(hours=hours)))
    assert moment(shown(elsewhere), now=NOW) == at.replace(microsecond=0)


@given(MOMENTS, MOMENTS)
def test_a_period_is_read_back_from_its_words(a: datetime, b: datetime) -> None:
    early, late = sorted(at.replace(microsecond=0) for at in (a, b))
    if early < late:
        assert Period.parse(shown(early), shown(late), now=NOW) == Period(since=early, until=late)
