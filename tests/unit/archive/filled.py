"""An archive with frames in it, written by the tables themselves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from podium.archive.entries import Door
from podium.archive.tables import Tables
from podium.protocol.frames import Frame, encode
from podium.schema import Schema

from .traffic import ENDPOINT, INPUTS, OUTPUTS

DAY = date(2023, 11, 14)
"""The day of `traffic.NOW`."""


def tables(folder: Path, inputs: Schema = INPUTS, outputs: Schema = OUTPUTS) -> Tables:
    """Tables that are there, and grow by the columns that the schemas have more."""
    found = Tables(str(folder), ENDPOINT, inputs, outputs)
    found.create()
    return found


def fill(
    folder: Path,
    frames: Sequence[Frame],
    inputs: Schema = INPUTS,
    outputs: Schema = OUTPUTS,
    *,
    day: date = DAY,
    parts: int = 1,
) -> Tables:
    """Archive the frames, after those that are there, in so many commits."""
    found, door = tables(folder, inputs, outputs), Door(ENDPOINT, inputs, outputs)
    start = max(table.position for table in found._tables)
    entries = [door.admit(start + number, encode(frame)) for number, frame in enumerate(frames, 1)]
    size = max(1, -(-len(entries) // parts))
    for first in range(0, len(entries), size):
        found.append(entries[first : first + size], day)
    return found
