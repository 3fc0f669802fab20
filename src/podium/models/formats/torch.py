"""PyTorch: a program that was exported (`torch.export`, `.pt2`) or scripted (TorchScript, `.pt`), on the CPU.

Reading one runs code. PyTorch unpickles parts of a `.pt2` archive, and SymPy evaluates expressions in it;
TorchScript is a program that may read and write files. So both are for packages that the user trusts.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from podium.errors import MissingExtra, ModelFailed, PackageError, ProjectError
from podium.models.estimator import named
from podium.models.formats.base import EXACT, SINGLE_RELATIVE, Allowed, Given, Kept, Written, unreadable
from podium.models.formats.table import outputs_of
from podium.models.layout import SINGLE, Layout, feed
from podium.models.manifest import Manifest, Tolerance
from podium.models.samples import first_difference
from podium.models.values import conform_all, rows_of, take
from podium.schema import Columns, Kind, Schema

try:
    import torch
except ImportError:
    raise MissingExtra("torch", "torch") from None

EXPORTED = "model.pt2"
SCRIPTED = "model.pt"
Call = Callable[..., Any]


class TorchPredictor:
    """A module behind columns: floats in the precision of its own weights, whole numbers as they are."""

    def __init__(self, module: Any, layout: Layout, inputs: Schema, outputs: Schema) -> None:
        self._module = module
        self._arguments = _arguments(layout, inputs, _precision(module))
        self._outputs = outputs

    def predict(self, columns: Columns) -> dict[str, np.ndarray]:
        found = _scored(self._module, self._arguments, columns)
        return conform_all(self._outputs, _named(found, list(self._outputs.names)), rows_of(columns))


def open(package: Path, manifest: Manifest, allowed: Allowed) -> TorchPredictor:
    """The caller has asked the trust list: this runs whatever the file says."""
    torch.set_num_threads(allowed.threads)
    try:
        module = _loaded(next(p for p in (package / EXPORTED, package / SCRIPTED) if p.exists()))
    except Exception as error:  # PyTorch raises anything
        raise unreadable(manifest, "torch", torch.__version__, error) from None
    return TorchPredictor(module, Layout(manifest.layout), manifest.inputs, manifest.outputs)


def keep(given: Given) -> Kept:
    layout = _layout(given.inputs)
    file, why = _write(given, layout)
    module = _loaded(file)
    arguments = _arguments(layout, given.inputs, _precision(module))
    found = _scored(module, arguments, given.columns)
    outputs = outputs_of(_named(found, given.names), None)
    predictor = TorchPredictor(module, layout, given.inputs, outputs)
    answers = predictor.predict(given.columns)
    tolerance = _tolerance(found)
    one = slice(1)
    alone = predictor.predict(take(given.columns, one))
    if first_difference(outputs, take(answers, one), alone, tolerance) is not None:
        raise PackageError(
            "the module answers a row otherwise when it is alone: it mixes the rows of a batch"
        )
    written = Written(layout=layout, tolerance=tolerance, libraries=["numpy", "torch"], why=why)
    return Kept(format="torch", outputs=outputs, answers=answers, written=written)


# --- what becomes the file ------------------------------------------------------------------


def _write(given: Given, layout: Layout) -> tuple[Path, str]:
    model = given.model
    exported, scripted = given.folder / EXPORTED, given.folder / SCRIPTED
    if isinstance(model, Path):
        target = exported if model.suffix == ".pt2" else scripted
        target.write_bytes(model.read_bytes())
        return target, "it is a file of PyTorch's, kept as it is"
    if isinstance(model, torch.jit.ScriptModule):
        with _quiet():
            torch.jit.save(model.eval(), scripted)
        return scripted, "it is TorchScript"
    if isinstance(model, torch.export.ExportedProgram):
        torch.export.save(model, exported)
        return exported, "it is an exported program"
    if isinstance(model, torch.nn.Module):
        torch.export.save(_exported(model, given, layout), exported)
        return exported, "torch.export made a program of it, for any number of rows"
    raise ProjectError(f"{type(model).__name__} is no module or program of PyTorch's")


def _exported(module: Any, given: Given, layout: Layout) -> Any:
    arguments = _arguments(layout, given.inputs, _precision(module))(given.columns)
    rows = torch.export.Dim("rows")
    try:
        with _quiet(), torch.no_grad():
            return torch.export.export(module.eval(), arguments, dynamic_shapes=[{0: rows}] * len(arguments))
    except Exception as error:  # PyTorch raises anything
        raise PackageError(
            f"torch.export makes no program of this module: {_first_line(error)}; export it yourself, "
            "or give TorchScript or ONNX"
        ) from None


def _loaded(file: Path) -> Any:
    """Something to call. The caller has asked the trust list, or made the file."""
    with _quiet():
        if file.name == EXPORTED:
            return torch.export.load(file).module()
        return torch.jit.load(file, map_location="cpu").eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without PyTorch's warnings: TorchScript is on its way out, but files of it are about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# --- what goes in and comes out -------------------------------------------------------------


def _layout(inputs: Schema) -> Layout:
    """Single values side by side; one tensor as it is; several fields with a tensor, each an argument."""
    if any(field.type is Kind.STRING for field in inputs.fields):
        raise ProjectError(f"PyTorch takes numbers, the inputs are {inputs}")
    if all(not field.shape for field in inputs.fields):
        return Layout.MATRIX
    return Layout.ARRAY if len(inputs.fields) == 1 else Layout.SEPARATE


def _precision(module: Any) -> np.dtype[Any]:
    """That of its first weights with a fraction; single where there are none."""
    for weight in (*module.parameters(), *module.buffers()):
        if weight.dtype is torch.float64:
            return np.dtype("<f8")
        if weight.is_floating_point():
            return SINGLE
    return SINGLE


def _arguments(layout: Layout, inputs: Schema, number: np.dtype[Any]) -> Callable[[Columns], tuple[Any, ...]]:
    if layout is Layout.SEPARATE:
        return lambda columns: tuple(
            _tensor(columns[f.name] if f.shape else columns[f.name].reshape(-1, 1), number)
            for f in inputs.fields
        )
    put_together = feed(layout, inputs)
    return lambda columns: (_tensor(put_together(columns), number),)


def _tensor(values: np.ndarray, number: np.dtype[Any]) -> Any:
    """A tensor of its own: columns are read-only, and PyTorch's are not."""
    return torch.from_numpy(values.astype(number) if values.dtype.kind == "f" else values.copy())


def _scored(
    module: Call, arguments: Callable[[Columns], tuple[Any, ...]], columns: Columns
) -> list[np.ndarray]:
    try:
        with torch.inference_mode():
            found = module(*arguments(columns))
    except Exception as error:  # PyTorch raises anything
        raise ModelFailed(
            f"the module does not score {rows_of(columns)} rows: {_first_line(error)}; it must take any "
            "number: torch.export.export(…, dynamic_shapes=({0: torch.export.Dim('rows')},))"
        ) from None
    each = list(found.values()) if isinstance(found, dict) else found
    return [tensor.numpy() for tensor in (each if isinstance(each, Sequence) else [each])]


def _named(found: list[np.ndarray], names: list[str]) -> dict[str, np.ndarray]:
    if len(found) == 1:
        only = found[0]
        return named(only[:, 0] if only.shape[1:] == (1,) and len(names) == 1 else only, names)
    if len(found) != len(names):
        raise ProjectError(f"output names {len(names)} values, the module gives {len(found)}")
    return dict(zip(names, found, strict=True))


def _tolerance(found: list[np.ndarray]) -> Tolerance:
    """Close to zero a single's error is relative to the numbers that were added up."""
    if all(values.dtype != SINGLE for values in found):
        return EXACT
    largest = max((float(np.abs(values).max()) for values in found if values.size), default=1.0)
    return Tolerance(
        relative=SINGLE_RELATIVE * 10, absolute=float(f"{SINGLE_RELATIVE * max(largest, 1e-3):.0e}")
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0][:200]
