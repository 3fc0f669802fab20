"""Archived requests through a version that was not there when they came.

Nothing here is on the request path: requests are read from the archive, scored in this process, and
their scores committed to the archive beside its archiver, as `replayed` (decision 0012).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import numpy as np
from deltalake import DeltaTable

from podium.archive import arrays, reading
from podium.archive.agreement import Agreement, Placed, agreement
from podium.archive.beside import Series
from podium.archive.entries import Entry
from podium.archive.layouts import ReplayedScores
from podium.archive.names import REQUESTS, SCORES
from podium.archive.past import Batch, Past, Window, with_defaults
from podium.archive.replayed import Scored as ArchivedScores
from podium.errors import ArchiveError
from podium.models.manifest import Tolerance
from podium.period import Period
from podium.protocol.frames import ScoresFrame, pack, row_slices
from podium.records import Contender
from podium.schema import Columns, Schema, check_outputs
from podium.workers.scoring import Scored, Scorer, score_requests

COMMIT_SECONDS = 10.0
COMMIT_BYTES = 32 * 1024 * 1024
"""Scores wait no longer for their commit, and are no more: commits cost time, and small files too."""

STRING_BYTES = 50
NO_IDS = msgspec.Raw(msgspec.msgpack.encode([]))


class Report(msgspec.Struct, kw_only=True):
    """How a replay went, in requests.

    `of` is how many the period has, `present` how many of them had a replayed score of this version before,
    `errors` how many failed, by what happened. `agreement` is there where the version has live scores.
    """

    endpoint: str
    model: str
    version: str
    since: datetime
    until: datetime
    of: int = 0
    read: int = 0
    present: int = 0
    scored: int = 0
    errors: dict[str, int] = {}
    seconds: float = 0.0
    agreement: Agreement | None = None

    @property
    def failed(self) -> int:
        return self.read - self.scored

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.read / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Whose requests, and where: `archive` is a folder or a URL."""

    name: str
    archive: str
    inputs: Schema
    outputs: Schema


class Replay:
    """One version's replay of one period. Methods block.

    A score is the same as a live one `within` the tolerance that the version's package states.
    `rate` is in requests a second, `limit` the number of requests at most, from the first on; `missing`
    leaves out those that have a replayed score of this version.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        contender: Contender,
        scorer: Scorer,
        period: Period,
        *,
        within: Tolerance,
        rate: float | None = None,
        limit: int | None = None,
        missing: bool = False,
        batch_rows: int = 4096,
        tell: Callable[[Report], None] = lambda report: None,
    ) -> None:
        self.report = Report(
            endpoint=endpoint.name,
            model=contender.model,
            version=contender.version,
            since=period.since,
            until=period.until,
        )
        self._endpoint = endpoint
        self._contender = contender
        self._scorer = scorer
        self._period = period
        self._within = within
        self._rate = rate
        self._limit = limit
        self._missing = missing
        self._batch_rows = batch_rows if rate is None else min(batch_rows, max(1, int(rate / 10)))
        self._tell = tell
        self._layout = ReplayedScores(endpoint.outputs)
        self._unsaved: list[Entry[ScoresFrame]] = []
        self._unsaved_bytes = 0

    def run(self) -> Report:
        """Score the period; `tell` is called now and then.

        Raises ArchiveError where there is nothing to score or all of it is scored already, NotFound,
        SchemaMismatch. What is scored when it is interrupted is kept.
        """
        contender, endpoint = self._contender, self._endpoint
        check_outputs(endpoint.outputs, self._scorer.outputs, what=contender.name)
        requests, scores = (reading.table(endpoint.archive, endpoint.name, n) for n in (REQUESTS, SCORES))
        _check_columns(self._layout, scores)
        self._past = Past(requests, self._period, with_defaults(self._scorer.inputs, endpoint.inputs))
        windows = self._past.windows()
        self.report.of = sum(window.requests for window in windows)
        self._known = ArchivedScores(scores, contender.model, contender.version)
        if not self._missing:
            self._refuse_again(*self._known.replays(requests, self._period))
        self._series = Series(scores, f"podium/replay/{contender.name}")
        self._began = self._saved = time.monotonic()
        self.report.agreement = Agreement() if self._known.has_live() else None
        try:
            for window in windows:
                if self._left != 0:
                    self._window(window)
        finally:
            self._save()
        return self.report

    def _refuse_again(self, count: int, day: str) -> None:
        if count:
            raise ArchiveError(
                f"{count:,} requests from {self._period} have a replayed score of {self._contender.name} "
                f"(the last from {day}), and scores are never replaced: --missing scores only the others"
            )

    def _window(self, window: Window) -> None:
        requested = self._past.read(window)
        self.report.of += len(requested.ids) - window.requests  # the archiver goes on meanwhile
        present: set[str] = set()
        if self._missing:
            present = self._known.replayed(requested.ids).intersection(requested.ids)
        done: list[tuple[Batch, Scored]] = []
        for whole in requested.batches(self._batch_rows, without=present):
            batch = whole.first(self._left) if self._left is not None else whole
            if not batch.ids:
                break
            self._wait()
            done.append((batch, self._score(batch)))
            self._tell(self.report)
        self.report.present += len(present)
        if self.report.agreement is not None:
            live = self._known.live(window, self._endpoint.outputs)
            ours = _placed(done, self._endpoint.outputs)
            self.report.agreement += agreement(live, ours, self._within)

    @property
    def _left(self) -> int | None:
        return None if self._limit is None else self._limit - self.report.read

    def _wait(self) -> None:
        if self._rate is not None:
            due = self._began + self.report.read / self._rate
            time.sleep(max(0.0, due - time.monotonic()))

    # --- scores -----------------------------------------------------------------------------

    def _score(self, batch: Batch) -> Scored:
        began = time.perf_counter()
        scored = Scored(error=batch.error)
        if batch.error is None:
            slices = row_slices(len(batch.ids), batch.rows.tolist())
            scored = score_requests(self._scorer, batch.columns, slices)
        self._keep(batch, scored, (time.perf_counter() - began) * 1000)
        self._count(batch, scored)
        return scored

    def _count(self, batch: Batch, scored: Scored) -> None:
        report = self.report
        errors = list(scored.errors.values()) if scored.error is None else [scored.error] * len(batch.ids)
        for text in errors:
            report.errors[text] = report.errors.get(text, 0) + 1
        report.read += len(batch.ids)
        report.scored += len(batch.ids) - len(errors)
        report.seconds = time.monotonic() - self._began

    def _keep(self, batch: Batch, scored: Scored, compute_ms: float) -> None:
        frame = self._frame(batch, scored, compute_ms)
        total = int(batch.rows.sum())
        self._unsaved.append(
            Entry(table=SCORES, position=0, source="", seq=0, frame=frame, ids=batch.ids, total=total)
        )
        self._unsaved_bytes += _size(frame, batch)
        late = time.monotonic() - self._saved > COMMIT_SECONDS
        if late or self._unsaved_bytes > COMMIT_BYTES:
            self._save()

    def _frame(self, batch: Batch, scored: Scored, compute_ms: float) -> ScoresFrame:
        """What a worker would say. Nobody waited: there is no queue, and nothing is late."""
        return ScoresFrame(
            endpoint=self._endpoint.name,
            revision=0,
            source="",
            seq=0,
            origin="",
            frame=0,
            model=self._contender.model,
            version=self._contender.version,
            role=self._contender.role.value,
            ids=NO_IDS,
            rows=None if (batch.rows == 1).all() else batch.rows.tolist(),
            error=scored.error,
            errors=scored.errors or None,
            done=time.time_ns() // 1000,
            queue_ms=0.0,
            compute_ms=compute_ms,
            columns=pack(scored.columns),
        )

    def _save(self) -> None:
        entries, self._unsaved, self._unsaved_bytes = self._unsaved, [], 0
        if entries:
            self._series.append(self._layout.batch(entries, datetime.now(UTC).date()))
        self._saved = time.monotonic()
        self.report.seconds = self._saved - self._began


def _check_columns(layout: ReplayedScores, scores: DeltaTable) -> None:
    new = set(layout.schema.names).difference(scores.schema().to_arrow().names)
    if new:
        raise ArchiveError(
            f"the archive's scores have no column {', '.join(sorted(new))} yet: `podium up` adds it"
        )


def _size(frame: ScoresFrame, batch: Batch) -> int:
    """About how much memory it takes until it is saved."""
    found = len(batch.ids) * 2 * STRING_BYTES
    for packed in frame.columns.values():
        found += len(packed.data) * (1 if isinstance(packed.data, bytes) else STRING_BYTES)
    return found


def _placed(done: Sequence[tuple[Batch, Scored]], outputs: Schema) -> Placed:
    """The rows of the requests that have a score, each with its place."""
    good = [_good(batch, scored) for batch, scored in done if scored.error is None]
    places = [
        (id, row)
        for ids, counts, _ in good
        for id, count in zip(ids, counts, strict=True)
        for row in range(count)
    ]
    return Placed(
        places=places,
        values={
            field.name: arrays.stacked(field, [columns[field.name] for _, _, columns in good])
            for field in outputs.fields
        },
    )


def _good(batch: Batch, scored: Scored) -> tuple[list[str], list[int], Columns]:
    """Ids, rows and outputs without the requests that failed."""
    if not scored.errors:
        return batch.ids, batch.rows.tolist(), scored.columns
    kept = np.array([index not in scored.errors for index in range(len(batch.ids))])
    rows = np.repeat(kept, batch.rows)
    ids = [id for id, good in zip(batch.ids, kept, strict=True) if good]
    return ids, batch.rows[kept].tolist(), {name: found[rows] for name, found in scored.columns.items()}
