"""Have inputs or scores moved since training? Counted off the request path, as kept frames become rows.

Each contender's columns are counted in the bins of its package's profiles, over a sliding window. What it
cannot count, it does not: nothing that goes wrong here is of any consequence to the archive.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
from msgspec.structs import asdict

from podium.archive import columns, drift_report, names
from podium.archive.drift_report import ContenderDrift, DriftReport, LiveDrift
from podium.archive.entries import Entry
from podium.archive.layouts import Span
from podium.profiles import Profile, Profiles
from podium.protocol.frames import ScoresFrame, Tensor, array
from podium.schema import Field, Kind, Schema
from podium.trials.drift import compare

log = logging.getLogger(__name__)

STEPS = 10
"""The window moves in so many steps."""

COLUMNS = 64
"""Columns of a contender that are watched, scores first."""

ROWS_A_TURN = 2000
"""Of more rows in a turn of the archiver, which are a second's or a full batch, frames by chance with about
so many are counted: enough for any distribution, and catching up is not slowed down."""

PUBLISH_SECONDS = 2.0

ProfilesOf = Callable[[str, str], Profiles]
"""The profiles in the package of a model's version; raises where there is no such package."""


class Window:
    """A column's counts over the last steps, beside those of training."""

    def __init__(self, reference: Profile) -> None:
        self.reference = reference
        self.counts = np.zeros((STEPS, reference.bins.cells), np.int64)

    @property
    def now(self) -> Profile:
        return Profile(bins=self.reference.bins, counts=tuple(self.counts.sum(axis=0).tolist()))


class Watch:
    """One contender's windows, by column; none where its package has no profiles, or something failed."""

    def __init__(self, model: str, version: str) -> None:
        self.model = model
        self.version = version
        self.seen = 0
        self.inputs: dict[str, Window] = {}
        self.scores: dict[str, Window] = {}

    def open(self, profiles: Profiles, inputs: Schema, outputs: Schema) -> None:
        """Windows for the columns that are profiled and that frames of these schemas have."""
        scores = [(self.scores, field.name, profiles.scores.get(field.name)) for field in outputs.fields]
        given = [(self.inputs, field.name, profiles.inputs.get(field.name)) for field in inputs.fields]
        known = [(of, name, profile) for of, name, profile in [*scores, *given] if profile is not None]
        for of, name, profile in known[:COLUMNS]:
            of[name] = Window(profile)
        if not known:
            log.info("%s has no profiles of training, so its drift is not watched", self)
        if left := [name for _, name, _ in known[COLUMNS:]]:
            log.warning(
                "%s has %d columns, drift is watched in %d of them; not in %s",
                self, len(known), COLUMNS, ", ".join(left),
            )  # fmt: skip

    @property
    def windows(self) -> Iterable[Window]:
        return chain(self.inputs.values(), self.scores.values())

    def off(self) -> None:
        self.inputs, self.scores = {}, {}

    def __str__(self) -> str:
        return f"{self.model}@{self.version}"


class DriftWatch:
    """Told of the entries of each turn of the archiver, it keeps the report in `folder` up to date.

    The window is `window` seconds long and moves a tenth at a time. It is of the time of archiving.
    """

    def __init__(
        self,
        inputs: Schema,
        outputs: Schema,
        profiles_of: ProfilesOf,
        *,
        folder: Path,
        window: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inputs = inputs
        self._outputs = outputs
        self._profiles_of = profiles_of
        self._folder = folder
        self._window = window
        self._clock = clock
        self._watches: dict[str, Watch] = {}
        self._step = 0
        self._due = 0.0
        self._works = True

    def __call__(self, entries: Sequence[Entry[Any]]) -> None:
        """Count what came, also when nothing did. Never raises: what fails is logged, once, and left."""
        if not self._works:
            return
        try:
            now = self._clock()
            self._move(int(now / self._window * STEPS))
            self._count(entries)
            if now >= self._due:
                self._due = now + PUBLISH_SECONDS
                self._publish()
        except Exception:  # nothing of this may end the archiver
            log.exception("drift is not watched any more, until the archiver starts anew; archiving goes on")
            self._works = False
            self._write(DriftReport())

    def _move(self, step: int) -> None:
        """Empty what the window has left behind, and forget who was not seen in it."""
        left = range(max(self._step + 1, step - STEPS + 1), step + 1)
        self._step = step
        self._watches = {n: watch for n, watch in self._watches.items() if watch.seen > step - STEPS}
        for watch in self._watches.values() if left else ():
            for window in watch.windows:
                window.counts[[each % STEPS for each in left]] = 0

    # --- counting ---------------------------------------------------------------------------

    def _count(self, entries: Sequence[Entry[Any]]) -> None:
        inputs, scores = _sorted(entries)
        for contenders, group in inputs.items():
            values = _Values(self._inputs, _few(group))
            for watch in self._of(contenders) if contenders is not None else list(self._watches.values()):
                self._add(watch, watch.inputs, values)
        for (model, version), group in scores.items():
            values = _Values(self._outputs, _few(group))
            for watch in self._of([f"{model}@{version}"]):
                self._add(watch, watch.scores, values)

    def _of(self, contenders: Iterable[str]) -> Iterator[Watch]:
        """Those that have a version; the decoy has none."""
        for name in contenders:
            model, at, version = name.partition("@")
            if at:
                watch = self._watches.get(name) or self._opened(name, model, version)
                watch.seen = self._step
                yield watch

    def _opened(self, name: str, model: str, version: str) -> Watch:
        watch = self._watches[name] = Watch(model, version)
        try:
            watch.open(self._profiles_of(model, version), self._inputs, self._outputs)
        except Exception as error:  # a registry that is away, a package that is damaged, …
            self._fail(watch, error)
        return watch

    def _add(self, watch: Watch, windows: Mapping[str, Window], values: _Values) -> None:
        try:
            for name, window in windows.items():
                if (found := values[name]) is not None:
                    window.counts[self._step % STEPS] += window.reference.bins.count(found)
        except Exception as error:  # profiles are data of a package, and may be anything
            self._fail(watch, error)

    def _fail(self, watch: Watch, error: Exception) -> None:
        watch.off()
        log.error("drift of %s is not watched: %s: %s", watch, type(error).__name__, error)

    # --- telling ----------------------------------------------------------------------------

    def _publish(self) -> None:
        found = chain.from_iterable(map(self._found, self._watches.values()))
        self._write(DriftReport(window_s=self._window, contenders=tuple(found)))

    def _write(self, report: DriftReport) -> None:
        try:
            drift_report.write(self._folder, report)
        except OSError as error:  # a full disk: the archiver says so, and loudly
            log.info("the report of drift cannot be written: %s", error)

    def _found(self, watch: Watch) -> Iterator[ContenderDrift]:
        try:
            found = [*_compared("input", watch.inputs), *_compared("score", watch.scores)]
        except Exception as error:  # as in counting
            self._fail(watch, error)
            return
        if found:
            found.sort(key=_badness, reverse=True)
            yield ContenderDrift(model=watch.model, version=watch.version, columns=tuple(found))


def _compared(part: Literal["input", "score"], windows: Mapping[str, Window]) -> Iterator[LiveDrift]:
    for name, window in windows.items():
        yield LiveDrift(part=part, **asdict(compare(name, window.reference, window.now)))


def _badness(drift: LiveDrift) -> tuple[bool, bool, float]:
    return drift.level == "drifted", drift.level == "moved", drift.psi or 0.0


# --- from frames ----------------------------------------------------------------------------

_Inputs = dict[tuple[str, ...] | None, list[Entry[Any]]]
_Scores = dict[tuple[str, str], list[Entry[Any]]]


def _sorted(entries: Sequence[Entry[Any]]) -> tuple[_Inputs, _Scores]:
    """Input frames by the contenders that are to score them (None: all who hear it), scores by contender."""
    inputs: _Inputs = {}
    scores: _Scores = {}
    for entry in entries:
        table, frame = entry.table, entry.frame
        if table == names.REQUESTS:
            contenders = None if frame.contenders is None else tuple(frame.contenders)
            inputs.setdefault(contenders, []).append(entry)
        elif table == names.SCORES and frame.error is None:
            scores.setdefault((frame.model, frame.version), []).append(entry)
    return inputs, scores


def _few(entries: list[Entry[Any]]) -> list[Entry[Any]]:
    rows = sum(entry.total for entry in entries)
    if rows <= ROWS_A_TURN:
        return entries
    return random.sample(entries, max(1, len(entries) * ROWS_A_TURN // rows))


class _Values:
    """The columns of some entries, each put together once, when it is first asked for."""

    def __init__(self, schema: Schema, entries: Sequence[Entry[Any]]) -> None:
        self._fields = {field.name: field for field in schema.fields}
        self._partly = [entry for entry in entries if _errors(entry)]
        whole = [entry for entry in entries if not _errors(entry)] if self._partly else entries
        self._whole = [entry.frame.columns for entry in whole]
        self._found: dict[str, np.ndarray | None] = {}

    def __getitem__(self, name: str) -> np.ndarray | None:
        """All values of a column; None where no entry has any."""
        if name not in self._found:
            self._found[name] = self._joined(self._fields[name])
        return self._found[name]

    def _joined(self, field: Field) -> np.ndarray | None:
        name = field.name
        whole = [columns[name] for columns in self._whole if name in columns]
        found = [_flat(field, whole)] if whole else []
        found += [_good(e, e.frame.columns[name]) for e in self._partly if name in e.frame.columns]
        return np.concatenate(found) if found else None


def _errors(entry: Entry[Any]) -> Mapping[int, str]:
    return (entry.frame.errors or {}) if isinstance(entry.frame, ScoresFrame) else {}


def _flat(field: Field, tensors: Sequence[Tensor]) -> np.ndarray:
    if field.type is Kind.STRING:
        return np.array(columns.words(tensors), object)
    return columns.numbers(field, tensors)


def _good(entry: Entry[Any], packed: Tensor) -> np.ndarray:
    """The values of the requests that were scored; in the rows of the others are zeros."""
    failed = np.zeros(len(entry.ids), bool)
    failed[list(_errors(entry))] = True
    values: np.ndarray = array(packed)[~Span([entry]).mask(failed)]
    return values.ravel()
