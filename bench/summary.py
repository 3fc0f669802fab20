"""A run's medians and ratios; pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from bench.alone import NAME as ALONE
from bench.results import Counters, Failure, Measure, Run, Start


@dataclass(frozen=True, kw_only=True, order=True)
class Entry:
    """A peer at one of its settings."""

    peer: str
    setting: str


class Summary:
    """The medians over a run's rounds."""

    def __init__(self, run: Run) -> None:
        self._measures = run.measures()
        self._starts = [line for line in run.lines if isinstance(line, Start)]
        self.failures = [line for line in run.lines if isinstance(line, Failure)]
        self.counters = [line for line in run.lines if isinstance(line, Counters)]

    def entries(self, model: str) -> list[Entry]:
        """Who was measured with this model, in the run's order."""
        found = (Entry(peer=m.peer, setting=m.setting) for m in self._measures if m.model == model)
        return list(dict.fromkeys(found))

    def per_second(self, entry: Entry, model: str, load: str, wire: str = "json") -> float | None:
        return _median(m.per_second for m in self._of(entry, model, load, wire))

    def p50_ms(self, entry: Entry, model: str, load: str, wire: str = "json") -> float | None:
        return _median(m.p50_ms for m in self._of(entry, model, load, wire))

    def p99_ms(self, entry: Entry, model: str, load: str, wire: str = "json") -> float | None:
        return _median(m.p99_ms for m in self._of(entry, model, load, wire))

    def relative(self, entry: Entry, model: str, load: str, wire: str = "json") -> float | None:
        """Requests a second as a share of the constant beside it: a machine that drifts takes both along."""
        measures = self._of(entry, model, load, wire)
        return _median(m.per_second / m.constant for m in measures if m.constant)

    def errors(self, entry: Entry, model: str) -> int:
        return sum(m.errors for m in self._measures if (m.peer, m.setting, m.model) == (*_pair(entry), model))

    def first_answer_s(self, entry: Entry, model: str) -> float | None:
        return self._start(entry, model, lambda start: start.first_answer_s)

    def memory_mb(self, entry: Entry, model: str) -> float | None:
        return self._start(entry, model, lambda start: start.memory_mb)

    def best(self, peers: Iterable[str], model: str, load: str, wire: str = "json") -> Entry | None:
        """The fastest of these, each at its best setting."""
        among = set(peers)
        rated = [
            (rate, entry)
            for entry in self.entries(model)
            if entry.peer in among and (rate := self.relative(entry, model, load, wire)) is not None
        ]
        return max(rated)[1] if rated else None

    def _of(self, entry: Entry, model: str, load: str, wire: str) -> list[Measure]:
        wanted = (*_pair(entry), model, load, "none" if entry.peer == ALONE else wire)
        return [m for m in self._measures if (m.peer, m.setting, m.model, m.load, m.wire) == wanted]

    def _start(self, entry: Entry, model: str, value: Callable[[Start], float]) -> float | None:
        wanted = (*_pair(entry), model)
        return _median(
            value(start) for start in self._starts if (start.peer, start.setting, start.model) == wanted
        )


def _pair(entry: Entry) -> tuple[str, str]:
    return entry.peer, entry.setting


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return median(found) if found else None
