"""Which of a source's latest messages a table has been shown: what comes late does not come twice.

A cluster that has just chosen a leader keeps what a process publishes now before it is given, a second time,
what nobody kept meanwhile. So a number below a source's highest may be new.
"""

from __future__ import annotations

from collections import OrderedDict

NUMBERS = 65_536
"""Of each source: what it publishes in half a minute at two thousand a second."""

SOURCES = 1_000


class Shown:
    """The latest numbers of each source that lived lately, as one bit each."""

    def __init__(self) -> None:
        self._sources: OrderedDict[str, _Numbers] = OrderedDict()

    def add(self, source: str, number: int, *, known_from: int) -> None:
        """It was shown this one. Of those below the first call's `known_from` nothing can be told."""
        if source not in self._sources:
            self._sources[source] = _Numbers(known_from)
            if len(self._sources) > SOURCES:
                self._sources.popitem(last=False)
        self._sources.move_to_end(source)
        self._sources[source].add(number)

    def lacks(self, source: str, number: int) -> bool:
        """Whether it certainly was not shown this one."""
        numbers = self._sources.get(source)
        return numbers is not None and numbers.lacks(number)


class _Numbers:
    def __init__(self, known_from: int) -> None:
        self._known_from = known_from
        self._top = known_from - 1
        self._bits = bytearray(NUMBERS // 8)

    def add(self, number: int) -> None:
        if number >= self._top + NUMBERS:
            self._bits = bytearray(NUMBERS // 8)
        else:
            for skipped in range(self._top + 1, number):
                self._set(skipped, shown=False)
        self._top = max(self._top, number)
        if number > self._top - NUMBERS:
            self._set(number, shown=True)

    def lacks(self, number: int) -> bool:
        if number > self._top:
            return True
        if number < self._known_from or number <= self._top - NUMBERS:
            return False
        place, bit = divmod(number % NUMBERS, 8)
        return not self._bits[place] >> bit & 1

    def _set(self, number: int, *, shown: bool) -> None:
        place, bit = divmod(number % NUMBERS, 8)
        if shown:
            self._bits[place] |= 1 << bit
        else:
            self._bits[place] &= ~(1 << bit)
