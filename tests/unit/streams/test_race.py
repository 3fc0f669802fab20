"""Several ways to the same thing: one that is silent holds up none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from podium.errors import StreamAway
from podium.streams.race import first

Way = Callable[[], Coroutine[object, object, str]]


class Ways:
    """Remembers which were tried, given up, and thrown away."""

    def __init__(self) -> None:
        self.tried: list[str] = []
        self.given_up: list[str] = []
        self.discarded: list[str] = []

    def silent(self) -> Way:
        async def way() -> str:
            self.tried.append("silent")
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.given_up.append("silent")
                raise
            raise AssertionError

        return way

    def late_though_cancelled(self, name: str) -> Way:
        async def way() -> str:
            self.tried.append(name)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return name
            raise AssertionError

        return way

    def open(self, name: str) -> Way:
        async def way() -> str:
            self.tried.append(name)
            return name

        return way

    def failing(self, error: Exception) -> Way:
        async def way() -> str:
            self.tried.append("failing")
            raise error

        return way

    async def first(self, *ways: Way, stagger: float = 0.01) -> str:
        async with asyncio.timeout(10):
            return await first(ways, stagger=stagger, discard=self.discarded.append)


async def test_the_next_way_is_taken_when_one_is_silent_and_the_silent_one_is_given_up() -> None:
    ways = Ways()
    assert await ways.first(ways.silent(), ways.open("second")) == "second"
    assert ways.given_up == ["silent"]


async def test_the_next_way_is_taken_at_once_when_one_fails() -> None:
    ways = Ways()
    refused = ways.failing(ConnectionRefusedError())
    assert await ways.first(refused, ways.open("second"), stagger=60) == "second"


async def test_no_second_way_is_tried_where_the_first_one_leads_there() -> None:
    ways = Ways()
    assert await ways.first(ways.open("first"), ways.open("second"), stagger=60) == "first"
    assert ways.tried == ["first"]


async def test_what_is_reached_too_late_is_thrown_away() -> None:
    ways = Ways()
    assert await ways.first(ways.late_though_cancelled("late"), ways.open("second")) == "second"
    assert ways.discarded == ["late"]


async def test_a_refusal_in_words_says_more_than_a_closed_port() -> None:
    ways = Ways()
    refused, away = (
        ways.failing(ConnectionRefusedError()),
        ways.failing(StreamAway("Authorization Violation")),
    )
    with pytest.raises(StreamAway, match="Authorization"):
        await ways.first(away, refused)
    with pytest.raises(ConnectionRefusedError):
        await ways.first(refused, refused)


async def test_who_gives_up_waiting_gives_up_all_ways() -> None:
    ways = Ways()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await first([ways.silent(), ways.silent()], stagger=0.01, discard=ways.discarded.append)
    assert ways.given_up == ["silent", "silent"]
