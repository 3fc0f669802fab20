"""The end of packing, the same for every kind of model: what describes it, and one load as proof."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from podium.errors import PackageError
from podium.models import manifest as manifests
from podium.models import requirements, samples
from podium.models.digest import digest_of
from podium.models.formats import entry
from podium.models.loading import load
from podium.models.manifest import Manifest
from podium.models.trust import Trust
from podium.schema import Columns


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A finished package, and why it has its format."""

    folder: Path
    digest: str
    manifest: Manifest
    why: str


def seal(
    into: Path,
    manifest: Manifest,
    *,
    inputs: Columns,
    answers: Columns,
    libraries: Sequence[str],
    why: str,
) -> Packed:
    """Finish a folder that holds a model's own files. Raises PackageError where it does not load again.

    What scores on the stream alone is not loaded: its answers have just come from there.
    """
    _check_answers(manifest.model, answers)
    manifests.write(manifest, into)
    samples.write(into, inputs, answers)
    requirements.write(into, libraries)
    digest = digest_of(into)
    if entry(manifest.format).alone:
        load(into, trust=Trust(path=into, lines=frozenset([digest])), digest=digest).close()
    return Packed(folder=into, digest=digest, manifest=manifest, why=why)


def _check_answers(model: str, answers: Columns) -> None:
    for name, values in answers.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise PackageError(f"{model}: {name!r} is NaN or infinite for some of the model's own examples")
