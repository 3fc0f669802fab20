"""Has a column moved?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from podium.profiles import Bins, Profile
from podium.trials.drift import LEAST, chance_psi, compare, ks, psi

PAIRS = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=12).filter(
    lambda rows: all(sum(column) for column in zip(*rows, strict=True))
)
FULL = st.lists(st.tuples(st.integers(1, 500), st.integers(1, 500)), min_size=2, max_size=12)


@given(FULL)
def test_the_psi_is_the_sum_of_both_relative_entropies(rows: list[tuple[int, int]]) -> None:
    a, b = np.array(rows).T
    assert psi(a, b) == pytest.approx(stats.entropy(a, b) + stats.entropy(b, a), abs=1e-12)


@given(PAIRS)
def test_the_psi_is_symmetric_never_negative_and_nothing_between_equals(rows: list[tuple[int, int]]) -> None:
    a, b = np.array(rows).T
    assert psi(a, b) == pytest.approx(psi(b, a))
    assert psi(a, b) >= 0
    assert psi(a, 3 * a) == pytest.approx(0, abs=1e-12)


@given(PAIRS)
def test_ks_is_scipys_of_the_binned_values(rows: list[tuple[int, int]]) -> None:
    a, b = np.array(rows).T
    places = np.arange(len(rows))
    wanted = stats.ks_2samp(np.repeat(places, a), np.repeat(places, b), method="asymp").statistic
    assert ks(a, b) == pytest.approx(wanted)
    assert ks(a, b) == ks(b, a)


@pytest.mark.parametrize("cells", [2, 5, 11, 52])
def test_chance_is_the_chi_squared_of_the_sizes(cells: int) -> None:
    a, b = np.full(cells, 30), np.full(cells, 70)
    wanted = stats.chi2.ppf(0.999, cells - 1) * (1 / (30 * cells) + 1 / (70 * cells))
    assert chance_psi(a, b) == pytest.approx(wanted, rel=0.031)


@pytest.mark.parametrize("examples", [20, 200, 5000])
def test_what_has_not_moved_is_called_stable_however_few_the_examples(examples: int) -> None:
    chance = np.random.default_rng(examples)
    levels = []
    for _ in range(300):
        reference = Profile.of(chance.normal(size=examples))
        levels.append(
            compare("x", reference, Profile.counted(reference.bins, chance.normal(size=2000))).level
        )
    assert levels.count("stable") >= 297


@pytest.mark.parametrize(("shift", "level"), [(0.05, "stable"), (0.4, "moved"), (1.0, "drifted")])
def test_a_shift_is_seen_by_its_size(shift: float, level: str) -> None:
    chance = np.random.default_rng(2)
    reference = Profile.of(chance.normal(size=5000))
    found = compare("bmi", reference, Profile.counted(reference.bins, chance.normal(shift, size=5000)))
    assert (found.column, found.count, found.level) == ("bmi", 5000, level)
    assert found.ks == pytest.approx(2 * stats.norm.cdf(shift / 2) - 1, abs=0.04)


def test_missing_values_are_a_part_and_a_drift() -> None:
    reference = Profile.of(np.arange(1000.0))
    now = np.arange(1000.0)
    now[::2] = np.nan
    found = compare("x", reference, Profile.counted(reference.bins, now))
    assert (found.missing_before, found.missing_now, found.level) == (0, 0.5, "drifted")
    assert found.ks == pytest.approx(0, abs=0.01)


def test_new_categories_are_a_part_and_a_drift() -> None:
    reference = Profile.of(np.array(["red", "green"] * 100, object))
    found = compare(
        "colour", reference, Profile.counted(reference.bins, np.array(["red", "blue"] * 100, object))
    )
    assert (found.others_before, found.others_now, found.level, found.ks) == (0, 0.5, "drifted", None)


def test_too_few_values_say_nothing() -> None:
    reference = Profile.of(np.arange(100.0))
    found = compare("x", reference, Profile.counted(reference.bins, np.zeros(LEAST - 1)))
    assert (found.psi, found.ks, found.level, found.count) == (None, None, None, LEAST - 1)
    assert compare("x", reference, Profile.counted(reference.bins, np.array([]))).missing_now == 0


def test_only_missing_values_have_no_ks() -> None:
    reference = Profile.of(np.arange(100.0))
    found = compare("x", reference, Profile.counted(reference.bins, np.full(50, np.nan)))
    assert (found.ks, found.level) == (None, "drifted")


def test_profiles_in_different_bins_are_not_compared() -> None:
    with pytest.raises(ValueError, match="'x' was counted in other bins"):
        compare("x", Profile.of(np.arange(9.0)), Profile(bins=Bins(edges=(1.0,)), counts=(0, 1, 2)))
