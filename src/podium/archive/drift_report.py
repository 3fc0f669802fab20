"""How far live inputs and scores are from training: what the archiver found, in a file for who shows it.

The file is among the boards of a run, so that it is gone with them; it is replaced as a whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from podium.trials.drift import ColumnDrift

FILE = "drift.json"


class LiveDrift(ColumnDrift, frozen=True, kw_only=True):
    """A column of a contender's inputs, or of its scores, over the window."""

    part: Literal["input", "score"]


class ContenderDrift(msgspec.Struct, frozen=True, kw_only=True):
    """A contender's columns, the worst first."""

    model: str
    version: str
    columns: tuple[LiveDrift, ...]


class DriftReport(msgspec.Struct, frozen=True, kw_only=True):
    """All contenders that were seen in the last `window_s` seconds and whose packages have profiles."""

    window_s: float = 0.0
    contenders: tuple[ContenderDrift, ...] = ()

    def of(self, model: str, version: str) -> tuple[LiveDrift, ...]:
        for contender in self.contenders:
            if (contender.model, contender.version) == (model, version):
                return contender.columns
        return ()


def write(folder: Path, report: DriftReport) -> None:
    """Raises OSError."""
    written = (folder / FILE).with_suffix(".new")
    written.write_bytes(msgspec.json.encode(report))
    written.replace(folder / FILE)


def read(folder: Path) -> DriftReport:
    """An empty one where nothing is known (yet)."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=DriftReport)
    except (OSError, msgspec.MsgspecError):
        return DriftReport()
