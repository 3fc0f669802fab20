"""What a format is: a module that writes a model's files and opens them again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from podium.models.layout import Layout
from podium.models.manifest import Manifest, Tolerance
from podium.schema import Columns, Schema

EXACT = Tolerance(relative=1e-9, absolute=1e-12)
"""The same computation in double precision, by another library or on another processor."""

SINGLE_RELATIVE = 1e-6
"""How far a computation in single precision may be, relatively; of trees 1e-7 was seen."""


class Predictor(Protocol):
    """An open model."""

    def predict(self, columns: Columns) -> dict[str, np.ndarray]:
        """Score at least one row: exactly the declared outputs.

        Raises ModelFailed, or whatever the model raises.
        """


@runtime_checkable
class Closing(Protocol):
    """An open model that runs something outside this process."""

    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowed:
    """What whoever opens a model grants it: threads, and how long (s) `predict` may take."""

    threads: int = 1
    timeout: float = 5.0


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A fitted scikit-learn model on its way into a package.

    `probes` are rows to compare a converted model on: the examples, and the same values mixed anew.
    `keep_code` copies the model's own module into the package and names it.
    """

    model: Any
    layout: Layout
    inputs: Schema
    outputs: Schema
    probes: Columns
    keep_code: Callable[[Path], tuple[str, list[Path]]]


@dataclass(frozen=True, kw_only=True)
class Written:
    """The format holds the model: what the manifest says of it, and which libraries reading it needs."""

    layout: Layout | None = None
    tolerance: Tolerance
    libraries: Sequence[str]
    why: str
    code: str = ""


@dataclass(frozen=True)
class Unfit:
    """The format cannot hold this model."""

    reason: str


class Format(Protocol):
    """A format's module.

    Not all of them write: what is no scikit-learn model has a way of its own into its package.
    """

    def write(self, fitted: Fitted, package: Path) -> Written | Unfit:
        """Put the model's files into the folder, or say why not."""

    def open(self, package: Path, manifest: Manifest, allowed: Allowed) -> Predictor:
        """Raises MissingExtra, VersionConflict, Untrusted or PackageError."""
