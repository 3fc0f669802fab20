"""Python: the user's own `podium.Model` class, with its module. Only for packages that the user trusts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from podium.errors import PackageError, ProjectError
from podium.models.formats.base import Allowed
from podium.models.manifest import Manifest
from podium.models.modules import CODE, imported
from podium.models.trained import Model
from podium.models.values import conform_all, rows_of
from podium.schema import Columns, Schema


class PythonPredictor:
    """A user's model behind columns; what it gives is checked against what it declared."""

    def __init__(self, model: Model, outputs: Schema) -> None:
        self._model = model
        self._outputs = outputs

    def predict(self, columns: Columns) -> dict[str, np.ndarray]:
        return conform_all(self._outputs, self._model.predict(columns), rows_of(columns))


def open(package: Path, manifest: Manifest, allowed: Allowed) -> PythonPredictor:
    """The caller has asked the trust list: this runs the package's module."""
    return PythonPredictor(fresh(package, manifest.code), manifest.outputs)


def fresh(package: Path, code: str) -> Model:
    """A new, loaded model from a package's `FILE:CLASS`. Raises PackageError."""
    file, _, name = code.partition(":")
    try:
        with imported(package / CODE / file, package / CODE) as module:
            model: Model = getattr(module, name)()
            model.load(package)
    except ProjectError as error:
        raise PackageError(str(error)) from error
    except Exception as error:  # the user's own code
        raise PackageError(f"{code}: load() failed: {type(error).__name__}: {error}") from error
    return model
