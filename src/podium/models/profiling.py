"""What a version was trained on and what it says of that, as profiles for its package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from podium.errors import PackageError
from podium.models.formats import format_of
from podium.models.formats.base import Allowed
from podium.models.manifest import Manifest
from podium.models.values import rows_of, take
from podium.profiles import Profile, Profiles
from podium.schema import Columns, Schema

TENSOR_VALUES = 64
"""A tensor with more values in a row, or with an open shape, has no profile: all of its values in one
distribution would say little, and counting them live would cost much."""

SCORED_ROWS = 2000
"""Of more training rows, so many, evenly spaced, are scored for the profile of the scores."""

AT_ONCE = 1000


def profiles_of(package: Path, manifest: Manifest, training: Columns) -> Profiles:
    """The distributions of the training inputs, and of the scores that the packed model gives them.

    The packed model's, not the original's: a score that is rounded otherwise may be on the other side
    of an edge. Raises PackageError where it cannot score what it was trained on.
    """
    return Profiles(
        inputs=_profiles(manifest.inputs, training),
        scores=_profiles(manifest.outputs, _scores(package, manifest, training)),
    )


def _profiles(schema: Schema, columns: Columns) -> dict[str, Profile]:
    return {
        field.name: Profile.of(columns[field.name])
        for field in schema.fields
        if min(field.shape, default=0) >= 0 and np.prod(field.shape) <= TENSOR_VALUES
    }


def _scores(package: Path, manifest: Manifest, training: Columns) -> dict[str, np.ndarray]:
    try:
        parts = list(_scored(package, manifest, training))
    except Exception as error:  # the model's own code
        raise PackageError(
            f"{manifest.model}: it cannot score its own training rows: {type(error).__name__}: {error}"
        ) from error
    scores = {name: np.concatenate([part[name] for part in parts]) for name in manifest.outputs.names}
    for name, values in scores.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise PackageError(
                f"{manifest.model}: {name!r} is NaN or infinite for some of its own training rows"
            )
    return scores


def _scored(package: Path, manifest: Manifest, training: Columns) -> Iterator[dict[str, np.ndarray]]:
    predictor = format_of(manifest.format).open(package, manifest, Allowed())
    count = rows_of(training)
    chosen = np.linspace(0, count - 1, min(count, SCORED_ROWS)).astype(int)
    for start in range(0, len(chosen), AT_ONCE):
        yield predictor.predict(take(training, chosen[start : start + AT_ONCE]))
