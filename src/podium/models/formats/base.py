"""What a format is: a module that writes a model's files and opens them again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from podium.errors import PackageError, VersionConflict
from podium.models.layout import Layout
from podium.models.manifest import Manifest, Tolerance
from podium.models.requirements import older
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


@dataclass(frozen=True, kw_only=True)
class Given:
    """A model that its own library keeps: an object of that library, or a file that somebody made.

    `columns` are the examples, `names` what `output` says, `folder` is the package that it grows into.
    """

    model: Any
    inputs: Schema
    columns: Columns
    names: list[str]
    folder: Path


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The model's own files are in the package; the rest of a package follows from this."""

    format: str
    outputs: Schema
    answers: Columns
    written: Written


class Format(Protocol):
    """A format's module.

    Not all of them have all of this: `write` is for scikit-learn's models, `keep` for other libraries',
    and what is neither has a way of its own into its package.
    """

    def write(self, fitted: Fitted, package: Path) -> Written | Unfit:
        """Put the model's files into the folder, or say why not."""

    def keep(self, given: Given) -> Kept:
        """Put what its library keeps into the package. Raises ProjectError, PackageError or MissingExtra."""

    def open(self, package: Path, manifest: Manifest, allowed: Allowed) -> Predictor:
        """Raises MissingExtra, VersionConflict, Untrusted or PackageError."""


def unreadable(manifest: Manifest, library: str, installed: str, error: Exception | str) -> PackageError:
    """What it means that a library does not read a package's file: it is too old, or the file is bad."""
    said = (str(error).strip() or type(error).__name__).partition("\n")[0][:200]
    by_name = {name.partition("-cpu")[0]: version for name, version in manifest.libraries.items()}
    packed = by_name.get(library, installed)
    if older(installed, packed):
        return VersionConflict(
            f"{manifest.model}: the installed {library} {installed} cannot read what {packed} wrote: {said}; "
            "install the package's requirements.txt"
        )
    return PackageError(f"{manifest.model}: its {manifest.format} file is damaged or hostile: {said}")
