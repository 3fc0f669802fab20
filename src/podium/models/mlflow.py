"""An MLflow model folder: which of its flavours is taken, and what is read of it.

ONNX, XGBoost, LightGBM and scikit-learn's skops files run nothing when they are read. A pickle in it, and
`python_function`, do: only for a folder whose digest (as a package's) the user's trust list names.
MLflow itself is not needed, unless the model's own code imports it.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podium.errors import MissingExtra, PackageError, ProjectError
from podium.models.digest import digest_of
from podium.models.trust import Trust

FILE = "MLmodel"
_LARGEST = 1_000_000
_OF_LIGHTGBM = (
    "collections.OrderedDict",
    "collections.defaultdict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRanker",
    "lightgbm.sklearn.LGBMRegressor",
)
_FLAVOURS = ("onnx", "xgboost", "lightgbm", "sklearn", "python_function")
"""What Podium reads, the first one first: `python_function` is beside all of the others."""


@dataclass(frozen=True, kw_only=True)
class PythonFunction:
    """A model that only its own Python code can load: a whole folder, and what it says of that."""

    folder: Path
    loader: str
    data: Path
    code: Path | None


@dataclass(frozen=True, kw_only=True)
class _Folder:
    path: Path
    model: str
    trust: Trust
    digest: str

    def file(self, flavour: Mapping[str, Any], key: str) -> Path:
        """The file that a flavour names. Raises PackageError for one that is not inside of the folder."""
        return inside(self.path, flavour.get(key), f"{key} of {FILE}")

    def check_trust(self, what: str) -> None:
        self.trust.check(self.model, self.digest, what=what)


def read(path: Path, model: str, trust: Trust) -> Any:
    """The model in it: an object, a file's path, or a PythonFunction.

    Raises PackageError for what is no sound folder, Untrusted, or ProjectError.
    """
    flavours = _flavours(path)
    folder = _Folder(path=path, model=model, trust=trust, digest=digest_of(path))
    for name in _FLAVOURS:
        if name in flavours:
            return _READERS[name](folder, flavours[name])
    raise ProjectError(
        f"{path.name} has the flavours {', '.join(flavours)}; Podium reads {', '.join(_FLAVOURS)}"
    )


def python_function(path: Path) -> PythonFunction:
    """What `python_function` of a folder says. Raises PackageError."""
    said = _flavours(path).get("python_function")
    if not isinstance(said, dict) or not isinstance(said.get("loader_module"), str):
        raise PackageError(f"{path.name}/{FILE}: python_function has no loader_module")
    return PythonFunction(
        folder=path,
        loader=said["loader_module"],
        data=inside(path, said["data"], f"data of {FILE}") if "data" in said else path,
        code=inside(path, said["code"], f"code of {FILE}") if said.get("code") else None,
    )


def inside(folder: Path, relative: object, what: str) -> Path:
    """A path that stays in the folder. Raises PackageError."""
    if not isinstance(relative, str) or not relative:
        raise PackageError(f"{folder.name}: {what} names no file")
    path = folder / relative
    if not path.resolve().is_relative_to(folder.resolve()):
        raise PackageError(f"{folder.name}: {what} is {relative!r}, outside of the folder: refused")
    if not path.exists():
        raise PackageError(f"{folder.name}: {what} is {relative!r}, and there is no such file")
    return path


def _flavours(path: Path) -> dict[str, Any]:
    try:
        import yaml  # an extra: only who has MLflow's folders needs it
    except ImportError:
        raise MissingExtra("PyYAML", "mlflow") from None
    try:
        with (path / FILE).open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise PackageError(
                f"{path.name}/{FILE} is longer than {_LARGEST} bytes: no description of a model"
            )
        said = yaml.safe_load(content)
    except FileNotFoundError:
        raise ProjectError(f"{path} is no MLflow folder: it has no file {FILE}") from None
    except (OSError, yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise PackageError(f"{path.name}/{FILE} cannot be read: {reason}") from None
    flavours = said.get("flavors") if isinstance(said, dict) else None
    if not isinstance(flavours, dict) or not flavours:
        raise PackageError(f"{path.name}/{FILE} names no flavors")
    return {str(name): flavour if isinstance(flavour, dict) else {} for name, flavour in flavours.items()}


# --- each flavour ---------------------------------------------------------------------------


def _onnx(folder: _Folder, flavour: Mapping[str, Any]) -> Path:
    return folder.file(flavour, "data")


def _xgboost(folder: _Folder, flavour: Mapping[str, Any]) -> Any:
    path = folder.file(flavour, "data")
    kind = str(flavour.get("model_class", "")).rpartition(".")[2]
    from podium.models.formats import xgboost  # needs XGBoost

    return xgboost.read_as(kind, path)


def _lightgbm(folder: _Folder, flavour: Mapping[str, Any]) -> Any:
    path = folder.file(flavour, "data")
    match path.suffix:
        case ".pkl":
            return _unpickled(folder, path)
        case ".skops":
            folder.check_trust("an MLflow model with LightGBM's own objects in skops")
            return _from_skops(path, _OF_LIGHTGBM)
        case _:
            return path


def _sklearn(folder: _Folder, flavour: Mapping[str, Any]) -> Any:
    path = folder.file(flavour, "pickled_model")
    if flavour.get("serialization_format") != "skops":
        return _unpickled(folder, path)
    return _from_skops(path)


def _from_skops(path: Path, also: tuple[str, ...] = ()) -> Any:
    from podium.models.formats import skops  # needs skops

    return skops.read(path.read_bytes(), path.name, also=also)


def _python_function(folder: _Folder, flavour: Mapping[str, Any]) -> PythonFunction:
    said = python_function(folder.path)
    folder.check_trust("an MLflow python_function")
    return said


def _unpickled(folder: _Folder, path: Path) -> Any:
    folder.check_trust("an MLflow model with a pickle")
    try:
        return pickle.loads(path.read_bytes())
    except Exception as error:  # unpickling raises anything
        raise PackageError(
            f"{path.name} does not load with the installed libraries: {type(error).__name__}: {error}; "
            f"install the folder's requirements.txt"
        ) from None


_READERS = {
    "onnx": _onnx,
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "sklearn": _sklearn,
    "python_function": _python_function,
}
