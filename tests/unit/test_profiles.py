"""A column's distribution in a few counts."""

from __future__ import annotations

from bisect import bisect_left

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.profiles import CATEGORIES, NUMBER_BINS, Bins, Profile

NUMBERS = st.lists(
    st.floats(-1e9, 1e9) | st.just(float("nan")) | st.integers(-3, 3).map(float), max_size=60
).map(lambda rows: np.array(rows, float))
WORDS = st.lists(st.sampled_from(["red", "green", "blue", "été", "", None]), max_size=40).map(
    lambda rows: np.array(rows, object)
)


@given(NUMBERS, NUMBERS)
def test_each_number_is_in_the_bin_up_to_the_next_edge(own: np.ndarray, values: np.ndarray) -> None:
    bins = Bins.of(own)
    wanted = [0] * bins.cells
    for value in values.tolist():
        wanted[0 if value != value else 1 + bisect_left(bins.edges, value)] += 1
    assert bins.count(values).tolist() == wanted
    assert bins.edges == tuple(sorted(set(bins.edges)))
    assert len(bins.edges) <= NUMBER_BINS


@given(WORDS, WORDS)
def test_each_word_is_in_its_category_or_among_the_others(own: np.ndarray, values: np.ndarray) -> None:
    bins = Bins.of(own)
    counts = Profile.counted(bins, values)
    assert set(bins.categories or ()) == set(own.tolist()) - {None}
    assert counts.missing == values.tolist().count(None)
    assert counts.others == sum(value is not None and value not in own.tolist() for value in values.tolist())
    assert counts.count == len(values)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_the_profile_of_two_parts_is_the_sum_of_their_profiles(
    own: np.ndarray, a: np.ndarray, b: np.ndarray
) -> None:
    bins = Bins.of(own)
    one, two = Profile.counted(bins, a), Profile.counted(bins, b)
    assert one + two == two + one == Profile.counted(bins, np.concatenate([a, b]))


@given(NUMBERS | WORDS)
def test_a_profile_survives_being_written_down(values: np.ndarray) -> None:
    profile = Profile.of(values)
    assert msgspec.json.decode(msgspec.json.encode(profile), type=Profile) == profile
    assert len(profile.counts) == profile.bins.cells


def test_many_examples_make_ten_even_bins_and_few_make_fewer() -> None:
    values = np.random.default_rng(3).normal(size=1000)
    assert Profile.of(values).counts == (0, *[100] * 10)
    assert Profile.of(values[:20]).counts == (0, *[5] * 4)


def test_a_column_of_few_values_has_a_bin_for_each() -> None:
    profile = Profile.of(np.array([True, False, True]))
    assert (profile.bins.edges, profile.counts) == ((0.0, 1.0), (0, 1, 2, 0))


def test_a_column_of_many_words_keeps_the_most_frequent() -> None:
    words = np.array([f"w{n:03}" for n in range(100)] + ["w099"] * 5, object)
    profile = Profile.of(words)
    assert profile.bins.categories
    assert len(profile.bins.categories) == CATEGORIES
    assert profile.bins.categories[0] == "w099"
    assert profile.others == 100 - CATEGORIES


def test_a_tensors_values_are_counted_one_by_one() -> None:
    assert Profile.of(np.zeros((3, 2, 2))).count == 12


def test_profiles_with_different_bins_are_not_added() -> None:
    with pytest.raises(ValueError, match="different bins"):
        Profile.of(np.zeros(3)) + Profile.of(np.ones(3))
