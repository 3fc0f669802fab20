"""A number below a source's highest may be new: which ones are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from podium.archive import shown as module
from podium.archive.shown import NUMBERS, Shown


def shown(*numbers: int, known_from: int = 0) -> Shown:
    found = Shown()
    for number in numbers:
        found.add("gateway", number, known_from=known_from)
    return found


@given(st.lists(st.integers(0, 3 * NUMBERS), max_size=30), st.integers(0, 3 * NUMBERS))
def test_it_lacks_what_it_was_not_shown_and_never_what_it_was(numbers: list[int], asked: int) -> None:
    found = shown(*numbers)
    if asked in numbers or not numbers:
        assert not found.lacks("gateway", asked)
    elif asked > max(numbers) - NUMBERS:
        assert found.lacks("gateway", asked)
    else:
        assert not found.lacks("gateway", asked), "too long ago to tell"


def test_below_where_it_began_to_look_it_cannot_tell() -> None:
    found = shown(8, known_from=5)
    assert [found.lacks("gateway", number) for number in (4, 5, 7, 8, 9)] == [False, True, True, False, True]


def test_of_a_source_that_it_does_not_know_it_cannot_tell() -> None:
    assert not shown(8).lacks("worker", 3)


def test_it_remembers_the_sources_that_lived_lately() -> None:
    found = Shown()
    for number in range(module.SOURCES + 1):
        found.add(f"source {number}", 2, known_from=0)
    assert not found.lacks("source 0", 1)
    assert found.lacks("source 1", 1)
