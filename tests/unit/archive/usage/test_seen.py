"""What is different from the files that lines were made from."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from podium.archive.usage.hours import HOUR_US, by_day, day_of
from podium.archive.usage.seen import Changes, changes
from podium.archive.usage.snapshot import File

PATHS = st.sets(st.sampled_from("abcdef"))


def file(path: str, first: int = 0, last: int = 0) -> File:
    """A file of requests, of these hours."""
    return File(path=path, since=first * HOUR_US, until=(last + 1) * HOUR_US - 1)


def test_the_same_files_are_no_change() -> None:
    files = {"requests": [file("a")], "scores": [file("b")]}
    assert not changes(files, files)


def test_a_merged_file_is_new_and_those_in_it_are_gone() -> None:
    found = changes(
        {"requests": [file("merged", 2, 5), file("c", 9, 9)]},
        {"requests": [file("a", 2, 3), file("b", 5, 5), file("c", 9, 9)]},
    )
    assert [each.path for each in found.new["requests"]] == ["merged"]
    assert [hour for hour in range(12) if found.has_lost(hour)] == [2, 3, 5]


def test_scores_that_are_gone_change_nothing_by_themselves() -> None:
    assert not changes({"requests": [], "scores": []}, {"scores": [file("b")]})


def test_a_file_without_bounds_may_have_held_any_hour() -> None:
    found = changes({"requests": []}, {"requests": [File(path="a")]})
    assert found.has_lost(0)
    assert found.has_lost(1_000_000)


@given(now=PATHS, seen=PATHS)
def test_what_is_neither_new_nor_gone_was_seen_and_is_there(now: set[str], seen: set[str]) -> None:
    found = changes(
        {"requests": [file(path) for path in now]},
        {"requests": [file(path, ord(path), ord(path)) for path in seen]},
    )
    new = {each.path for each in found.new["requests"]}
    gone = {path for path in "abcdef" if found.has_lost(ord(path))}
    assert (new, gone) == (now - seen, seen - now)
    assert bool(found) == (now != seen)


@given(st.sets(st.integers(min_value=0, max_value=10_000), max_size=100))
def test_every_hour_is_in_its_day_once(hours: set[int]) -> None:
    found = by_day(hours)
    assert sorted(hour for some in found.values() for hour in some) == sorted(hours)
    assert all(day_of(hour) == day for day, some in found.items() for hour in some)


def test_a_file_may_have_what_its_bounds_do_not_rule_out() -> None:
    bounded = File(path="a", first_id="b", last_id="d", since=10, until=20)
    assert [bounded.may_have(*ids) for ids in (("a", "b"), ("d", "e"), ("a", "a"), ("e", "f"))] == [
        True,
        True,
        False,
        False,
    ]
    assert [bounded.may_be_of(*times) for times in ((20, 30), (0, 10), (0, 11), (21, 30))] == [
        True,
        False,
        True,
        False,
    ]
    unknown = File(path="a")
    assert unknown.may_have("a", "b")
    assert unknown.may_be_of(0, 1)


def test_no_change_is_false() -> None:
    assert not Changes(new={"requests": ()}, gone=())
