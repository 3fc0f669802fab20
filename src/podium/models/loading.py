"""A package becomes something that scores, or a clear error."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from podium.models import manifest as manifests
from podium.models import samples as sample_files
from podium.models.digest import verify
from podium.models.formats import entry, format_of
from podium.models.formats.base import Allowed, Closing, Predictor
from podium.models.manifest import Manifest
from podium.models.samples import Samples
from podium.models.trust import Trust
from podium.schema import Columns, Schema


@dataclass(frozen=True, kw_only=True, slots=True)
class Scorer:
    """A loaded model version, ready to score."""

    digest: str
    manifest: Manifest
    samples: Samples
    predictor: Predictor

    @property
    def inputs(self) -> Schema:
        return self.manifest.inputs

    @property
    def outputs(self) -> Schema:
        return self.manifest.outputs

    def predict(self, columns: Columns) -> dict[str, np.ndarray]:
        """Score at least one row.

        `columns` are exactly the model's inputs, of the declared types and shapes; so are the outputs.
        Raises ModelFailed for answers that are not what was declared, or whatever the model raises.
        """
        return self.predictor.predict(columns)

    def close(self) -> None:
        """End what the model runs outside this process; nothing for most. Dropping the scorer does it too."""
        if isinstance(self.predictor, Closing):
            self.predictor.close()


def load(
    path: Path, *, trust: Trust, threads: int = 1, timeout: float = 5.0, digest: str | None = None
) -> Scorer:
    """Load a package; nothing in it is believed before its digest is verified.

    The folder is named by its digest, unless `digest` says what to expect. `timeout` (s) is how long a
    prediction may take, where the model is one that can be stopped. Raises DigestMismatch,
    NewerManifest, UnknownFormat, Untrusted, MissingExtra, VersionConflict, WrongSample or PackageError.
    """
    expected = digest or path.name
    manifest = trusted(path, trust=trust, digest=expected)
    predictor = format_of(manifest.format).open(path, manifest, Allowed(threads=threads, timeout=timeout))
    samples = sample_files.read(path, manifest)
    scorer = Scorer(digest=expected, manifest=manifest, samples=samples, predictor=predictor)
    try:
        sample_files.check(manifest, samples, scorer.predict(samples.inputs))
    except BaseException:
        scorer.close()
        raise
    return scorer


def trusted(path: Path, *, trust: Trust, digest: str) -> Manifest:
    """What a package says of itself, once its bytes are verified and what it runs may run.

    Raises DigestMismatch, NewerManifest, UnknownFormat, Untrusted or PackageError.
    """
    verify(path, digest)
    manifest = manifests.read(path)
    runs = entry(manifest.format).runs
    if runs:
        trust.check(manifest.model, digest, what=runs)
    return manifest
