"""Figures and names as tables show them."""

from __future__ import annotations

NOTHING = "–"
LONGEST = 60
"""Characters of a name or a value in a table; the JSON has all of it."""


def percent(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2%}"


def figure(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.4g}"


def cut(text: str) -> str:
    """On one line, not too long, and nothing that a terminal would obey."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
