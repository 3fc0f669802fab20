"""A command that is a worker on the message stream: only the stream brings it rows. Needs trust."""

from __future__ import annotations

from pathlib import Path

from podium.errors import PackageError
from podium.models.formats.base import Allowed, Predictor
from podium.models.manifest import Manifest


def open(package: Path, manifest: Manifest, allowed: Allowed) -> Predictor:
    """Raises PackageError: nobody can be asked but on the stream."""
    raise PackageError(
        f"{manifest.model} is a worker on the stream, and scores only there: let it join an endpoint with "
        f"`podium join`"
    )
