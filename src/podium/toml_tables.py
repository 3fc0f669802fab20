"""Tables of a TOML file, read with types: every mistake names its file, its line and what would be right."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from podium.errors import ProjectError
from podium.schema import did_you_mean

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m)")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_MS = {"ms": 1.0, "s": 1000.0, "m": 60_000.0}
T = TypeVar("T")


def parse_duration(text: str) -> float | None:
    """`100ms`, `2s`, `1.5m` in ms; None for anything else."""
    match = _DURATION.fullmatch(text.strip())
    return float(match[1]) * _MS[match[2]] if match else None


def parse_part(text: str) -> float | None:
    """`10%` as 0.1; None for anything else."""
    match = _PERCENT.fullmatch(text.strip())
    return float(match[1]) / 100 if match else None


def nearest(folder: Path, named: str, pattern: str) -> str:
    """What of the project in this folder is called almost like it."""
    there = [found for found in (folder / named).parent.glob(pattern) if found.is_relative_to(folder)]
    return did_you_mean(named, [found.relative_to(folder).as_posix() for found in there])


class Table:
    """One table of a file: typed access, and errors that know their line.

    `file` is the name that errors give the file, whose whole text is `text`; `path` are the keys that
    lead to this table.
    """

    def __init__(self, file: str, text: str, values: dict[str, Any], path: tuple[str, ...] = ()) -> None:
        self.values = values
        self._file = file
        self._text = text
        self._path = path

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def fail(self, problem: str, *keys: str) -> NoReturn:
        """Raise ProjectError at the line of this table's `keys`, or of the table itself."""
        raise ProjectError(f"{self.where(*keys)}{problem}")

    def where(self, *keys: str) -> str:
        """How an error about this table's `keys`, or the table itself, begins."""
        path = self._path + keys
        said = f"{'.'.join(path)}: " if path else ""
        return f"{self._file}:{line_of(self._text, path)}: {said}"

    def only(self, *known: str) -> Table:
        for key in self.values:
            if key not in known:
                near = did_you_mean(key, known)
                self.fail(f"there is no such key{near}; known are {', '.join(known)}", key)
        return self

    def table(self, key: str, *, needed: bool = False) -> Table:
        if needed and not self.values.get(key, True):
            self.fail("is empty", key)
        if needed and key not in self:
            self.fail(f"[{'.'.join((*self._path, key))}] is missing")
        value: dict[str, Any] = self._typed(key, {}, dict, "a table")
        return Table(self._file, self._text, value, (*self._path, key))

    def text(self, key: str, usual: str | None) -> str:
        value = self._typed(key, usual, str, "a text in quotes")
        return value or self.fail("is empty", key)

    def file(self, folder: Path, key: str) -> Path:
        """A file of the project in this folder."""
        named = self.text(key, None)
        path = folder / named
        if not path.is_file():
            self.fail(f"there is no file {named}{nearest(folder, named, f'*{path.suffix}')}", key)
        return path

    def choice(self, key: str, usual: str | None, known: Sequence[str]) -> str:
        value = self.text(key, usual)
        if value not in known:
            near = did_you_mean(value, known)
            self.fail(f"{value!r} is not one of {', '.join(known)}{near}", key)
        return value

    def flag(self, key: str, usual: bool) -> bool:
        return self._typed(key, usual, bool, "true or false")

    def count(self, key: str, usual: int) -> int:
        value = self._typed(key, usual, int, "a whole number")
        return value if value > 0 else self.fail(f"{value} is not at least 1", key)

    def number(self, key: str, usual: float) -> float:
        value = self.values.get(key, usual)
        if type(value) not in (int, float) or not 0 <= value < float("inf"):
            self.fail(f"{value!r} is not a number of at least 0", key)
        return float(value)

    def part(self, key: str, usual: float | None) -> float | None:
        """A part of a whole, 0 to 1: `"10%"`, or a plain number."""
        if key not in self:
            return usual
        value = self.values[key]
        found = parse_part(value) if isinstance(value, str) else value
        if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= 1:
            self.fail(f'{value!r} is no part of a whole; write as in "10%"', key)
        return float(found)

    def duration(self, key: str, usual_ms: float, *, least: float = 0.0) -> float:
        if key not in self:
            return usual_ms
        value = self.values[key]
        found = parse_duration(value) if isinstance(value, str) else None
        if found is None:
            self.fail(f'{value!r} is no duration; write as in "100ms" or "2s"', key)
        return found if found >= least else self.fail(f"{value} is under {least:g}ms", key)

    def words(self, key: str, usual: Sequence[str]) -> Sequence[str]:
        value = self.values.get(key, usual)
        if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
            self.fail('is not a list of texts, as in ["champion"]', key)
        return value

    def _typed(self, key: str, usual: T | None, kind: Callable[..., T], what: str) -> T:
        if key not in self:
            return usual if usual is not None else self.fail(f"`{key}` is missing: {what}")
        value = self.values[key]
        if type(value) is not kind:
            self.fail(f"{value!r} is not {what}", key)
        return value  # type: ignore[no-any-return]  # its type was just compared


_PART = r"""(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)"""
_KEYS = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*\[\[?\s*({_KEYS})\s*\]")
_ENTRY = re.compile(rf"\s*({_KEYS})\s*=")


def line_of(text: str, path: Sequence[str]) -> int:
    """The line, from 1, where `path` is said, or else the nearest table around it.

    tomllib keeps no positions, so the text is read again, line by line; a key inside an inline
    table is on its table's line.
    """
    best, depth = 1, 0
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            said = table = _parts(header[1])
        elif entry := _ENTRY.match(line):
            said = table + _parts(entry[1])
        else:
            continue
        common = min(len(said), len(path))
        if common > depth and said[:common] == tuple(path[:common]):
            best, depth = number, common
    return best


def _parts(keys: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_PART, keys))
