"""`samples.json`: a few requests and the answers that the model must give when it is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from podium.errors import PackageError, WrongSample
from podium.models.manifest import Manifest, Tolerance
from podium.models.values import from_json, rows_of, take, to_json
from podium.schema import Columns, Kind, Schema

FILE = "samples.json"
ROWS = 5

_LIBRARIES = "its libraries may have changed: install its requirements.txt"
_WHY = {"server": "its server may have another model now: give it the old one again"}
"""What may be behind another answer, and what to do, by format."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Rows of the examples, and what the original answered."""

    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]


class _File(msgspec.Struct, frozen=True):
    inputs: dict[str, list[Any]]
    outputs: dict[str, list[Any]]


def write(package: Path, inputs: Columns, outputs: Columns) -> None:
    """Keep the first rows of the examples."""
    first = slice(ROWS)
    file = _File(to_json(take(inputs, first)), to_json(take(outputs, first)))
    (package / FILE).write_bytes(msgspec.json.encode(file) + b"\n")


def read(package: Path, manifest: Manifest) -> Samples:
    try:
        file = msgspec.json.decode((package / FILE).read_bytes(), type=_File)
        return Samples(
            inputs=from_json(manifest.inputs, file.inputs), outputs=from_json(manifest.outputs, file.outputs)
        )
    except (OSError, msgspec.DecodeError, KeyError, ValueError, TypeError) as error:
        raise PackageError(f"{manifest.model}: {FILE} cannot be read: {error!r}") from None


def check(manifest: Manifest, samples: Samples, found: Columns) -> None:
    """Raise WrongSample for the first answer that is not the expected one."""
    row = first_difference(manifest.outputs, samples.outputs, found, manifest.tolerance)
    if row is not None:
        expected, given = (to_json(take(c, slice(row, row + 1))) for c in (samples.outputs, found))
        raise WrongSample(
            f"{manifest.model} gives another answer than when it was packed: sample {row} gives {given}, "
            f"expected {expected}; {_WHY.get(manifest.format, _LIBRARIES)}, or "
            f"`podium train {manifest.model}`"
        )


def first_difference(outputs: Schema, expected: Columns, found: Columns, within: Tolerance) -> int | None:
    """The first row in which two answers differ by more than the tolerance."""
    wrong = np.zeros(rows_of(expected), dtype=bool)
    for field in outputs.fields:
        a, b = expected[field.name], found[field.name]
        if field.type is Kind.FLOAT:
            same = np.isclose(b, a, rtol=within.relative, atol=within.absolute, equal_nan=True)
        else:
            same = a == b
        wrong |= ~same.reshape(len(wrong), -1).all(axis=1)
    return int(np.argmax(wrong)) if wrong.any() else None
