"""Figures of usage in words."""

from __future__ import annotations

import pytest

from podium.archive.usage.figures import Figures, OfCaller, OfTime, Usage
from podium.cli.sections import plain
from podium.reports.usage import MOST_CALLERS, MOST_HOURS, headline, sections

COUNTS = {
    "requests": 10,
    "rows": 10,
    "answers": 8,
    "defaults": 1,
    "scored": 0,
    "late": 0,
    "errors": 0,
    "compared": 0,
    "disagreements": 0,
    "compute_s": 0.0,
    "mean_ms": None,
    "p50_ms": None,
    "p90_ms": None,
    "p99_ms": None,
    "against_outcomes": (),
}


def figures(kind: type = Figures, **more: object) -> Figures:
    found: Figures = kind(**COUNTS, **more)
    return found


def usage(hours: int = 1, callers: int = 1, *, is_current: bool = True) -> Usage:
    times = tuple(figures(OfTime, since=f"{number}") for number in range(hours))
    return Usage(
        endpoint="diabetes",
        since="2026-11-01T00:00:00Z",
        until="2026-11-02T00:00:00Z",
        is_current=is_current,
        total=figures(),
        contenders=(),
        rules=(),
        callers=tuple(figures(OfCaller, caller=f"caller {number}") for number in range(callers)),
        hours=times,
        days=(figures(OfTime, since="a day"),),
    )


def text(found: Usage) -> str:
    return "\n".join(plain(headline(found), sections(found)))


def test_requests_without_an_answer_are_said() -> None:
    said = "10 requests with 10 rows: 8 got a model's answer, 1 the default, 1 have no answer in the archive."
    assert said in text(usage())


@pytest.mark.parametrize(("hours", "title"), [(MOST_HOURS, "Hours"), (MOST_HOURS + 1, "Days")])
def test_more_than_two_days_are_shown_by_day(hours: int, title: str) -> None:
    assert title in text(usage(hours)).splitlines()


def test_of_many_callers_those_with_most_requests_are_shown() -> None:
    said = text(usage(callers=MOST_CALLERS + 3))
    assert "--json has 3 more" in said
    assert len([line for line in said.splitlines() if line.startswith("caller ")]) - 1 == MOST_CALLERS


def test_figures_that_another_process_brings_up_to_date_are_called_so() -> None:
    assert "Another process is bringing the figures up to date" in text(usage(is_current=False))
    assert "Another process" not in text(usage())
