"""The endpoint that a command may name: there is one here, so it may as well be left out."""

from __future__ import annotations

from collections.abc import Sequence

from podium.errors import NotFound
from podium.schema import did_you_mean


def check_endpoint(named: str | None, there: str) -> None:
    """Raise NotFound where a command names an endpoint that is not the one here."""
    if named is not None and named != there:
        raise NotFound(f"no endpoint {named!r} here{did_you_mean(named, [there])}; there is {there}")


def without_endpoint(words: Sequence[str], wanted: int, there: str) -> tuple[str, ...] | None:
    """The words after the endpoint's name, which may be left out; None where their number is wrong.

    Raises NotFound as `check_endpoint` does.
    """
    if len(words) == wanted + 1:
        check_endpoint(words[0], there)
        words = words[1:]
    return tuple(words) if len(words) == wanted else None
