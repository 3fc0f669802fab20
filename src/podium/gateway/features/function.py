"""Features computed by a Python function of the project: columns in, columns out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from podium.errors import FeaturesFailed, MissingExtra, ProjectError
from podium.gateway.features.threads import Threads
from podium.gateway.features.values import Found, Why, defaults, joined, of_arrays
from podium.models.modules import imported, where
from podium.run import Features
from podium.schema import Columns, Schema
from podium.validation import Rows

FUNCTION = "features"
THREADS = 4
"""Calls at once. A call that hangs keeps its thread; when all hang, every row has defaults."""

Function = Callable[[Columns], Mapping[str, Any]]


class FunctionSource:
    """The function `features` of a module, called in threads."""

    def __init__(self, features: Features, asked: Schema) -> None:
        self._features = features
        self._asked = asked
        self._threads = Threads(THREADS, name="features")

    async def __aenter__(self) -> Self:
        self._function = load(self._features)
        self._threads.start()
        return self

    async def __aexit__(self, *raised: object) -> None:
        self._threads.stop()

    async def find(self, parts: Sequence[Rows]) -> Found:
        return await self._threads.run(partial(self._found, parts))

    # --- in a thread ------------------------------------------------------------------------

    def _found(self, parts: Sequence[Rows]) -> Found:
        """All requests in one call; where it fails, one by one, so that none spoils another's features."""
        try:
            return self._called(parts)
        except FeaturesFailed:
            if len(parts) == 1:
                raise
        return joined([self._alone(part) for part in parts])

    def _alone(self, part: Rows) -> Found:
        try:
            return self._called([part])
        except FeaturesFailed:
            return defaults(self._features.fields, part.count, Why.FAILED)

    def _called(self, parts: Sequence[Rows]) -> Found:
        columns = {
            field.name: _read_only([np.asarray(part.columns[place], field.dtype) for part in parts])
            for place, field in enumerate(self._asked.fields)
        }
        try:
            given = self._function(columns)
        except BaseException as error:  # also SystemExit: it would end the gateway
            at = where(error, Path(self._features.at))
            raise FeaturesFailed(f"{at}: {type(error).__name__}: {error}") from None
        if not isinstance(given, Mapping):
            raise FeaturesFailed(
                f"`{FUNCTION}` returned {type(given).__name__}, expected a column for each feature by name"
            )
        return of_arrays(self._features.fields, given, sum(part.count for part in parts))


def _read_only(arrays: list[np.ndarray]) -> np.ndarray:
    """Requests' columns as one: what the function writes there must not become the models' input."""
    found = arrays[0].view() if len(arrays) == 1 else np.concatenate(arrays)
    found.flags.writeable = False
    return found


def load(features: Features) -> Function:
    """The project's function. Raises ProjectError, MissingExtra."""
    file = Path(features.at)
    try:
        with imported(file, Path(features.folder)) as module:
            found = getattr(module, FUNCTION, None)
    except MissingExtra:
        raise
    except ProjectError as error:
        raise ProjectError(f"{features.where}{error}") from None
    if not callable(found):
        raise ProjectError(
            f"{features.where}{file.name} has no function `{FUNCTION}`, as in `def {FUNCTION}(columns):`"
        )
    function: Function = found
    return function
