"""What was counted, for Prometheus: the boards of all processes as one text (`/metrics`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from podium.archive import drift_report
from podium.archive.drift_report import DriftReport
from podium.counters import BUCKETS, PER_OCTAVE, Counts, Series, bucket_limit, merged
from podium.records import Policy

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


@dataclass(frozen=True, slots=True)
class Shown:
    """A series' name for Prometheus (a counter's gets `_total` from the library) and its help."""

    name: str
    help: str


SHOWN: dict[str, Shown] = {
    "received": Shown("podium_requests_received", "Requests that went to the contenders."),
    "answered": Shown("podium_requests_answered", "Requests that were answered, default answers included."),
    "defaulted": Shown("podium_requests_defaulted", "Requests that got the default answer."),
    "refused": Shown("podium_requests_refused", "Requests that were not let in, by reason."),
    "caller_requests": Shown("podium_caller_requests", "Requests that were let in, by whose key they had."),
    "caller_limited": Shown("podium_caller_limited", "Requests over the rate of their caller's key."),
    "answer_ms": Shown("podium_answer_seconds", "From a request's arrival to its answer."),
    "revision": Shown("podium_revision", "The policy's revision that a gateway uses."),
    "in_flight": Shown("podium_requests_in_flight", "Requests that wait for their answer now."),
    "answered_by": Shown("podium_contender_answers", "Answers that were this contender's."),
    "scored": Shown("podium_contender_scores", "Requests that this contender has scored."),
    "late": Shown("podium_contender_late", "Scores that came after their request's deadline."),
    "errors": Shown("podium_contender_errors", "Requests that this contender could not score."),
    "compared": Shown("podium_contender_compared_rows", "Rows scored by this contender and the champion."),
    "agreed": Shown("podium_contender_agreed_rows", "Of the rows compared, those that agree."),
    "score_ms": Shown("podium_contender_score_seconds", "From sending a frame to this contender's scores."),
    "queue_ms": Shown("podium_contender_queue_seconds", "From sending a frame to the start of its scoring."),
    "compute_ms": Shown("podium_contender_compute_seconds", "How long a frame's prediction took."),
    "ready": Shown("podium_ready", "1 where a process can do its work; without labels, the gateway."),
    "archived": Shown("podium_requests_archived", "Answered requests in the archive's tables."),
    "outcomes": Shown("podium_outcomes_received", "Outcomes that were taken, corrections too."),
    "outcomes_refused": Shown("podium_outcomes_refused", "Requests with outcomes not let in, by reason."),
    "outcomes_archived": Shown("podium_outcomes_archived", "Outcomes in the archive's tables."),
    "archive_failing": Shown("podium_archive_failing", "1 while the archive cannot be written."),
    "duplicates": Shown("podium_archive_duplicates", "Messages seen twice and archived once."),
    "junk": Shown("podium_archive_junk", "Messages on the stream that are no frames."),
    "bodies_lost": Shown(
        "podium_archive_bodies_lost", "Requests whose large inputs were to be archived, and were gone."
    ),
    "unproven": Shown("podium_archive_unproven", "Frames that the decoy saw and that are not what was kept."),
    "feature_rows": Shown("podium_features_rows", "Rows whose features were looked up."),
    "features_defaulted": Shown("podium_features_defaulted", "Rows with a default feature, by reason."),
    "features_ms": Shown("podium_features_seconds", "How long a request's features took."),
    "features_stale": Shown("podium_features_stale", "Gateways that cannot read their table of features."),
    "overdue": Shown("podium_stream_overdue", "Messages that the broker does not confirm to keep."),
    "dead_letters": Shown("podium_stream_dead_letters", "Messages that the broker has put aside."),
    "unkept": Shown("podium_stream_unkept", "Messages that the broker may not have kept."),
}
DRIFT: dict[str, Shown] = {
    "psi": Shown("podium_drift_psi", "How far a column is from training: population stability index."),
    "ks": Shown("podium_drift_ks", "The largest distance between the cumulative distributions."),
    "missing_now": Shown("podium_drift_missing", "The part of the values that are missing."),
    "others_now": Shown("podium_drift_others", "The part of the values that training did not have."),
    "level": Shown("podium_drift_level", "0 stable, 1 moved, 2 drifted: the PSI by its bounds and chance."),
}
"""By the fields of `LiveDrift`, of each column of a contender's inputs and scores."""

LEVELS = {"stable": 0, "moved": 1, "drifted": 2}
_DRIFT_LABELS = ("endpoint", "model", "version", "role", "part", "column")

INTERNAL = frozenset({"beat", "keys_followed"})
"""Signs for the supervisor and for commands: a time of day, how far a gateway has come; nothing to draw."""

_STEPS = (*range(0, BUCKETS - 1, PER_OCTAVE), BUCKETS - 1)
"""The last of the boards' buckets in each of the buckets shown: a power of two wide."""


def metrics_text(folder: Path, policy: Policy) -> bytes:
    """All boards in a folder, in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Boards(merged(folder), policy))
    registry.register(_Drift(drift_report.read(folder), policy))
    return generate_latest(registry)


class _Boards(Collector):
    """One reading of the boards, as metric families."""

    def __init__(self, counts: Counts, policy: Policy) -> None:
        self._counts = counts
        self._endpoint = policy.endpoint
        self._roles = {(c.model, c.version): c.role.value for c in policy.contenders}

    def collect(self) -> Iterator[Metric]:
        names: dict[tuple[str, str], list[Series]] = {}
        for series in self._counts:
            if series.name not in INTERNAL:
                names.setdefault((series.kind, series.name), []).append(series)
        for (kind, name), found in sorted(names.items()):
            yield self._family(kind, shown(name), found)

    def _family(self, kind: str, shown: Shown, found: Iterable[Series]) -> Metric:
        labels = {series: self._labels(series) for series in found}
        names = list(dict.fromkeys(name for of_one in labels.values() for name in of_one))
        rows = [([of_one.get(name, "") for name in names], self._counts[s]) for s, of_one in labels.items()]
        match kind:
            case "counter":
                counter = CounterMetricFamily(shown.name, shown.help, labels=names)
                for values, cells in rows:
                    counter.add_metric(values, cells[0])
                return counter
            case "histogram":
                histogram = HistogramMetricFamily(shown.name, shown.help, labels=names)
                for values, cells in rows:
                    histogram.add_metric(values, _buckets(cells), sum_value=cells[BUCKETS] / 1e6)
                return histogram
            case _:
                gauge = GaugeMetricFamily(shown.name, shown.help, labels=names)
                for values, cells in rows:
                    gauge.add_metric(values, cells[0])
                return gauge

    def _labels(self, series: Series) -> Mapping[str, str]:
        """The series' own labels, the endpoint's and, for a contender, its role."""
        labels = {"endpoint": self._endpoint}
        labels |= {_word(name): value for name, value in series.labels}
        if "model" in labels:
            labels["role"] = self._roles.get((labels["model"], labels.get("version", "")), "")
        return labels


class _Drift(Collector):
    """What the archiver found of the policy's contenders; nothing of a figure that is not known."""

    def __init__(self, report: DriftReport, policy: Policy) -> None:
        self._report = report
        self._policy = policy

    def collect(self) -> Iterator[Metric]:
        for figure, shown in DRIFT.items():
            gauge = GaugeMetricFamily(shown.name, shown.help, labels=_DRIFT_LABELS)
            for labels, value in self._values(figure):
                gauge.add_metric(labels, value)
            if gauge.samples:
                yield gauge

    def _values(self, figure: str) -> Iterator[tuple[list[str], float]]:
        for contender in self._policy.contenders:
            of_contender = [self._policy.endpoint, contender.model, contender.version, contender.role.value]
            for column in self._report.of(contender.model, contender.version):
                value = getattr(column, figure)
                if value is not None:
                    number = LEVELS[value] if figure == "level" else value
                    yield [*of_contender, column.part, column.column], number


def shown(name: str) -> Shown:
    """How a series is shown; one that the table does not know yet gets a name of its own."""
    if name in SHOWN:
        return SHOWN[name]
    return Shown(f"podium_{re.sub('_ms$', '_seconds', _word(name))}", f"{name}, as the processes count it.")


def _word(name: str) -> str:
    """A name with the letters that Prometheus allows."""
    return re.sub(r"\W", "_", name, flags=re.ASCII)


def _buckets(cells: tuple[int, ...]) -> list[tuple[str, float]]:
    """Cumulative counts by upper limit in seconds, the last one without limit."""
    buckets = []
    total, start = 0, 0
    for step in _STEPS:
        total += sum(cells[start : step + 1])
        start = step + 1
        limit = bucket_limit(step)
        buckets.append(("+Inf" if step == BUCKETS - 1 else f"{limit / 1000:.8g}", float(total)))
    return buckets
