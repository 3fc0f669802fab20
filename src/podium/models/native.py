"""Models that their own library keeps, and files that somebody made: which format each of them is."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from podium.errors import ProjectError
from podium.models import mlflow
from podium.models.formats import entry
from podium.models.trust import Trust

_BY_LIBRARY = {
    "lightgbm": "lightgbm",
    "onnx": "onnx",
    "torch": "torch",
    "treelite": "treelite",
    "xgboost": "xgboost",
}
_BY_SUFFIX = {
    ".json": "xgboost",
    ".lgb": "lightgbm",
    ".onnx": "onnx",
    ".pt": "torch",
    ".pt2": "torch",
    ".tl": "treelite",
    ".treelite": "treelite",
    ".txt": "lightgbm",
    ".ubj": "xgboost",
    ".xgb": "xgboost",
}
_PICKLES = {".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pth"}


def read(path: Path, model: str, trust: Trust) -> Any:
    """What `podium.Trained(Path(…))` means: the file itself, or the model in an MLflow folder.

    A file whose reading runs code must be in the trust list by its SHA-256. Raises ProjectError or Untrusted.
    """
    if path.is_dir():
        return mlflow.read(path, model, trust)
    format = format_of_file(path)
    if runs := entry(format).runs:
        with path.open("rb") as file:
            trust.check(model, hashlib.file_digest(file, "sha256").hexdigest(), what=runs)
    return path


def format_for(model: Any) -> str | None:
    """The format of a file, or of an object by the library that made its class; None is scikit-learn's."""
    if isinstance(model, Path):
        return format_of_file(model)
    if isinstance(model, mlflow.PythonFunction):
        return "mlflow"
    for kind in type(model).__mro__:
        library = kind.__module__.partition(".")[0]
        if library in _BY_LIBRARY:
            return _BY_LIBRARY[library]
    return None


def format_of_file(path: Path) -> str:
    """Raises ProjectError for a file that is not there, or that Podium does not read."""
    if not path.is_file():
        raise ProjectError(f"there is no {path}; a model's path is relative to its module's folder")
    if path.suffix in _PICKLES:
        raise ProjectError(
            f"{path.name} is a pickle by its name, so reading it runs code: if you trust it, read it in "
            "train() and return the model, or export it to ONNX"
        )
    if path.suffix not in _BY_SUFFIX:
        raise ProjectError(
            f"{path.name}: expected a file whose name ends in {', '.join(_BY_SUFFIX)}, or an MLflow folder"
        )
    return _BY_SUFFIX[path.suffix]
