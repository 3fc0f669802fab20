"""Tables of a TOML file: durations, and the lines of keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.toml_tables import line_of, parse_duration


@given(st.floats(0, 1e6), st.sampled_from(["ms", "s", "m"]))
def test_a_duration_is_read_as_it_is_written(number: float, unit: str) -> None:
    scale = {"ms": 1, "s": 1000, "m": 60_000}[unit]
    assert parse_duration(f"{number:.3f}{unit}") == pytest.approx(round(number, 3) * scale)


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_none(text: str) -> None:
    found = parse_duration(text)
    assert found is None or found >= 0


@given(st.lists(st.sampled_from(["a", "b-c", "d_e"]), min_size=1, max_size=3), st.integers(0, 5))
def test_a_key_is_found_on_its_line(path: list[str], blank: int) -> None:
    *table, key = path
    header = f"[{'.'.join(table)}]\n" if table else ""
    text = "# nothing\n" * blank + header + f"{key} = 1\n"
    assert line_of(text, path) == blank + bool(table) + 1
