"""MLflow's python_function: a folder with a loader of its own. Only for packages that the user trusts."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from podium.errors import PackageError
from podium.models.estimator import named
from podium.models.formats.base import EXACT, Allowed, Given, Kept, Written
from podium.models.formats.table import outputs_of
from podium.models.layout import Layout, feed
from podium.models.manifest import Manifest
from podium.models.mlflow import PythonFunction, python_function
from podium.models.modules import importing
from podium.models.values import conform_all, rows_of
from podium.schema import Columns, Schema

FOLDER = "mlflow"


class MlflowPredictor:
    """A loaded function behind columns: it gets a data frame."""

    def __init__(self, function: Any, inputs: Schema, outputs: Schema) -> None:
        self._function = function
        self._feed = feed(Layout.FRAME, inputs)
        self._outputs = outputs

    def predict(self, columns: Columns) -> dict[str, np.ndarray]:
        found = answered(self._function.predict(self._feed(columns)), list(self._outputs.names))
        return conform_all(self._outputs, found, rows_of(columns))


def open(package: Path, manifest: Manifest, allowed: Allowed) -> MlflowPredictor:
    """The caller has asked the trust list: this runs the folder's loader."""
    function = _loaded(python_function(package / FOLDER))
    return MlflowPredictor(function, manifest.inputs, manifest.outputs)


def keep(given: Given) -> Kept:
    """The folder's digest was trusted when it was read."""
    said: PythonFunction = given.model
    shutil.copytree(said.folder, given.folder / FOLDER)
    function = _loaded(python_function(given.folder / FOLDER))
    answers = answered(function.predict(feed(Layout.FRAME, given.inputs)(given.columns)), given.names)
    written = Written(
        layout=Layout.FRAME,
        tolerance=EXACT,
        libraries=["numpy", "pandas", "PyYAML", said.loader.partition(".")[0]],
        why=f"it is an MLflow python_function, loaded by {said.loader}",
    )
    return Kept(format="mlflow", outputs=outputs_of(answers, None), answers=answers, written=written)


def answered(found: Any, names: list[str]) -> dict[str, np.ndarray]:
    """A frame's columns by name, else one array's."""
    columns = [str(column) for column in getattr(found, "columns", ())]
    if set(names) <= set(columns):
        return {name: np.asarray(found[name]) for name in names}
    array = np.asarray(found)
    return named(array[:, 0] if array.shape[1:] == (1,) else array, names)


def _loaded(said: PythonFunction) -> Any:
    try:
        with importing(*([said.code] if said.code else []), root=said.folder):
            return importlib.import_module(said.loader)._load_pyfunc(str(said.data))
    except ModuleNotFoundError as error:
        raise PackageError(
            f"{said.folder.name}: {error}; install what the folder's own requirements.txt names"
        ) from None
    except Exception as error:  # the folder's own code
        raise PackageError(f"{said.loader} failed: {type(error).__name__}: {error}") from error
