"""Counts that outlive the process that counts: a memory-mapped file for each process.

Adding is an in-place write of eight bytes, so counting costs the request path next to nothing, and
what was counted before a `kill -9` is still there to be read. Anybody may read the files at any time:
`podium status`, `/metrics`, the supervisor. One process writes a file, so there are no locks.

File: 64 KiB of series names, a line each (`kind|name|label=value,…`), then int64 cells in the order
of the lines: one for a counter or gauge, `BUCKETS + 1` for a histogram (the last cell is the sum in µs).
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

NAMES_BYTES = 64 * 1024
CELLS = 64 * 1024
PER_OCTAVE = 8
BUCKETS = 24 * PER_OCTAVE
"""From 10 µs, each bucket 2**(1/8) wide, to 154 s: a quantile is within 4.5 % of the true one."""

SHORTEST_MS = 0.01
SUFFIX = ".board"


class Series(NamedTuple):
    """What a number is about: `kind` is `counter`, `gauge` or `histogram`."""

    kind: str
    name: str
    labels: tuple[tuple[str, str], ...]

    def label(self, name: str) -> str:
        return dict(self.labels).get(name, "")

    @property
    def cells(self) -> int:
        return BUCKETS + 1 if self.kind == "histogram" else 1

    def __str__(self) -> str:
        return f"{self.kind}|{self.name}|" + ",".join(f"{key}={value}" for key, value in self.labels)

    @classmethod
    def parse(cls, line: str) -> Series:
        kind, name, labels = line.split("|", 2)
        pairs = (pair.split("=", 1) for pair in labels.split(",") if pair)
        return cls(kind, name, tuple((key, value) for key, value in pairs))


def bucket_of(ms: float) -> int:
    """The index of the histogram bucket that a latency falls into."""
    if ms <= SHORTEST_MS:
        return 0
    return min(BUCKETS - 1, 1 + int(math.log2(ms / SHORTEST_MS) * PER_OCTAVE))


def bucket_limit(index: int) -> float:
    """The upper limit of a bucket, in ms; the last bucket has none."""
    return math.inf if index == BUCKETS - 1 else SHORTEST_MS * 2 ** (index / PER_OCTAVE)


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram as read: mergeable by addition."""

    counts: tuple[int, ...]
    sum_ms: float

    @property
    def count(self) -> int:
        return sum(self.counts)

    def quantile(self, q: float) -> float | None:
        """In ms, the middle (geometric) of the bucket that holds it; None without values."""
        wanted = q * self.count
        seen = 0
        for index, count in enumerate(self.counts):
            seen += count
            if count and seen >= wanted:
                return SHORTEST_MS * 2 ** (max(0.0, index - 0.5) / PER_OCTAVE)
        return None


class Counter:
    """One cell that only grows, or, as a gauge, is set."""

    __slots__ = ("_cells", "_index")

    def __init__(self, cells: memoryview, index: int) -> None:
        self._cells = cells
        self._index = index

    def add(self, n: int = 1) -> None:
        self._cells[self._index] += n

    def set(self, value: int) -> None:
        self._cells[self._index] = value

    @property
    def value(self) -> int:
        return int(self._cells[self._index])


class Histogram:
    """Latencies in fixed logarithmic buckets."""

    __slots__ = ("_cells", "_index")

    def __init__(self, cells: memoryview, index: int) -> None:
        self._cells = cells
        self._index = index

    def add(self, ms: float, n: int = 1) -> None:
        """Count `n` latencies of `ms` each."""
        self._cells[self._index + bucket_of(ms)] += n
        self._cells[self._index + BUCKETS] += round(ms * 1000 * n)

    def add_all(self, latencies_ms: Sequence[float]) -> None:
        cells, start = self._cells, self._index
        for ms in latencies_ms:
            cells[start + bucket_of(ms)] += 1
        cells[start + BUCKETS] += round(sum(latencies_ms) * 1000)


class Board:
    """This process's counts. `with` creates the file and maps it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[Series, int] = {}
        self._used = 0
        self._written = 0

    def __enter__(self) -> Board:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            os.ftruncate(file, NAMES_BYTES + 8 * CELLS)
            if hasattr(os, "posix_fallocate"):  # counting into a hole on a full disk would be a SIGBUS
                os.posix_fallocate(file, 0, NAMES_BYTES + 8 * CELLS)
            self._map = mmap.mmap(file, NAMES_BYTES + 8 * CELLS)
        finally:
            os.close(file)
        self._cells = memoryview(self._map)[NAMES_BYTES:].cast("q")
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to do: the map goes with the process, the file stays for its readers."""

    def counter(self, name: str, **labels: str) -> Counter:
        return Counter(self._cells, self._place("counter", name, labels))

    def gauge(self, name: str, **labels: str) -> Counter:
        return Counter(self._cells, self._place("gauge", name, labels))

    def histogram(self, name: str, **labels: str) -> Histogram:
        return Histogram(self._cells, self._place("histogram", name, labels))

    def absorb(self, counts: Counts, *, kinds: Iterable[str] = ("counter", "histogram")) -> None:
        """Add the counts of a process that has ended."""
        for series, cells in counts.items():
            if series.kind in kinds:
                start = self._place(series.kind, series.name, dict(series.labels))
                for offset, value in enumerate(cells):
                    self._cells[start + offset] += value

    def _place(self, kind: str, name: str, labels: Mapping[str, str]) -> int:
        series = Series(kind, name, tuple(sorted(labels.items())))
        if series not in self._places:
            line = f"{series}\n".encode()
            if self._written + len(line) > NAMES_BYTES or self._used + series.cells > CELLS:
                raise MemoryError(f"{self.path.name} has no room for another series")
            self._places[series] = self._used
            self._used += series.cells
            self._map[self._written : self._written + len(line)] = line
            self._written += len(line)
        return self._places[series]


Counts = dict[Series, tuple[int, ...]]
"""What files say, merged: each series with its cells."""


def read(path: Path) -> Counts:
    """One file's counts; empty for a file that has just gone."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    names = content[:NAMES_BYTES].rstrip(b"\0")
    cells = memoryview(content)[NAMES_BYTES:].cast("q") if len(content) > NAMES_BYTES else None
    found: Counts = {}
    start = 0
    for line in names[: names.rfind(b"\n") + 1].decode().splitlines() if cells else ():
        series = Series.parse(line)
        found[series] = tuple(cells[start : start + series.cells]) if cells else ()
        start += series.cells
    return found


def merged(folder: Path) -> Counts:
    """All files of a folder, added up; of a gauge, the highest."""
    return added(read(path) for path in sorted(folder.glob(f"*{SUFFIX}")))


def added(parts: Iterable[Counts]) -> Counts:
    """Counts of several processes, or folders, as one; of a gauge, the highest."""
    total: Counts = {}
    for part in parts:
        for series, cells in part.items():
            before = total.get(series)
            if before is None:
                total[series] = cells
            elif series.kind == "gauge":
                total[series] = max(before, cells)
            else:
                total[series] = tuple(a + b for a, b in zip(before, cells, strict=True))
    return total


def total(counts: Counts, name: str, **labels: str) -> int:
    """The sum of a counter or gauge over all series that carry these labels."""
    return sum(cells[0] for cells in _matching(counts, name, labels))


def distribution(counts: Counts, name: str, **labels: str) -> Distribution:
    """A histogram, added up over all series that carry these labels."""
    rows = list(_matching(counts, name, labels)) or [(0,) * (BUCKETS + 1)]
    cells = [sum(column) for column in zip(*rows, strict=True)]
    return Distribution(tuple(cells[:BUCKETS]), cells[BUCKETS] / 1000)


def _matching(counts: Counts, name: str, labels: Mapping[str, str]) -> Iterator[tuple[int, ...]]:
    for series, cells in counts.items():
        if series.name == name and all(series.label(key) == value for key, value in labels.items()):
            yield cells
