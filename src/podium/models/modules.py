"""A model's own Python module: imported from its file, copied with the modules beside it."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from podium.errors import MissingExtra, ProjectError

CODE = "code"
"""The folder of a package that holds modules."""

_PREFIX = "podium_model_"
_EXTRAS = {
    **dict.fromkeys(("sklearn", "pandas", "onnx", "onnxruntime", "skl2onnx", "skops"), "models"),
    **{name: name for name in ("lightgbm", "torch", "treelite", "xgboost")},
}
"""Which extra brings what a model's module may import."""

_FOREIGN = {"site-packages", "dist-packages", "node_modules", "__pycache__"}


@contextmanager
def imported(file: Path, root: Path) -> Iterator[ModuleType]:
    """The module in `file`, which may import others from its folder and from `root`.

    Afterwards those are forgotten, so another model with a neighbour of the same name gets its own.
    Raises ProjectError with the line that failed.
    """
    with importing(file.parent, root, root=root):
        yield _execute(file)


@contextmanager
def importing(*folders: Path, root: Path) -> Iterator[None]:
    """Imports look into these folders first. Afterwards the modules of `root` are forgotten."""
    path, quiet, before = list(sys.path), sys.dont_write_bytecode, set(sys.modules)
    sys.path[:0] = [str(folder) for folder in folders]
    sys.dont_write_bytecode = True  # a package is immutable, a project's folder is its owner's
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = path
        sys.dont_write_bytecode = quiet
        for name in set(_local(root)) - before:
            del sys.modules[name]


def _execute(file: Path) -> ModuleType:
    name = _PREFIX + file.stem
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ProjectError(f"{file.name} is no Python module: its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as the import statement does: pickles name it
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        if error.name in _EXTRAS:
            raise MissingExtra(f"{where(error, file)}: {error.name}", _EXTRAS[error.name]) from error
        raise ProjectError(f"{where(error, file)}: {error}; install it, or correct the name") from error
    except Exception as error:
        raise ProjectError(f"{where(error, file)}: {type(error).__name__}: {error}") from error
    return module


def where(error: BaseException, file: Path) -> str:
    """`FILE:LINE` of the last line of the user's own module that an error went through."""
    line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else None
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == str(file):
            line = frame.lineno
    return f"{file.name}:{line}" if line else file.name


def copy(file: Path, root: Path, package: Path) -> tuple[str, list[Path]]:
    """Copy an imported module, and those of `root` that are imported with it, under `code/`.

    Returns the module's path there, and the files that were copied.
    """
    others = {found for found in _local(root).values() if found != file}
    for source in (file, *others):
        target = package / CODE / source.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return file.relative_to(root).as_posix(), [file, *sorted(others)]


def _local(root: Path) -> dict[str, Path]:
    """The imported modules whose files are the user's own."""
    found = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not file or not Path(file).is_relative_to(root):
            continue
        parts = Path(file).relative_to(root).parts
        if not _FOREIGN.intersection(parts) and not any(part.startswith(".") for part in parts):
            found[name] = Path(file)
    return found
