"""What the tests of other libraries' formats share: a package, opened, and what it must give."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from podium.models import manifest as manifests
from podium.models.digest import digest_of
from podium.models.loading import Scorer, load
from podium.models.packing import Packed
from podium.models.trust import Trust
from podium.schema import Columns

NOBODY = Trust(path=Path("trust"))


def opened(packed: Packed, *, trusted: bool = False) -> Scorer:
    """The package in a folder of its digest, as a worker opens it."""
    lines = frozenset([packed.digest] if trusted else [])
    return load(packed.folder, trust=Trust(path=Path("trust"), lines=lines))


def columns(table: np.ndarray, names: list[str]) -> Columns:
    """A table's columns as a request brings them: contiguous and read-only."""
    return {name: np.frombuffer(table[:, i].astype("<f8").tobytes(), "<f8") for i, name in enumerate(names)}


def with_file(packed: Packed, file: str, content: bytes, **libraries: str) -> Path:
    """The package with another model file (and other libraries in its manifest), named by its new digest."""
    (packed.folder / file).write_bytes(content)
    known = packed.manifest.libraries | libraries
    manifests.write(msgspec.structs.replace(packed.manifest, libraries=known), packed.folder)
    return renamed(packed.folder)


def renamed(folder: Path) -> Path:
    """A folder that was changed, under the digest that it now has."""
    return folder.rename(folder.with_name(digest_of(folder)))
