"""ONNX: a graph of numeric operations, run by onnxruntime. Loading one runs no code of the package.

A graph is a file that somebody made (`podium.models.formats.onnx_file`), or is converted here. A
conversion counts only where it reproduces the original's answers. It is tried in double precision
first, then in single; columns side by side first, then each by itself.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from podium.errors import MissingExtra, ModelFailed, VersionConflict
from podium.models.estimator import Estimator, names_of
from podium.models.formats.base import EXACT, SINGLE_RELATIVE, Allowed, Fitted, Given, Kept, Unfit, Written
from podium.models.formats.trees import has_trees, sum_in_double
from podium.models.layout import SINGLE, Feed, Layout, feed
from podium.models.manifest import Manifest, Tolerance
from podium.models.samples import first_difference
from podium.models.values import conform, take
from podium.schema import Columns, Kind, Schema

# onnxruntime reports models and machine to its maker, unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
try:
    import onnxruntime
except ImportError:
    raise MissingExtra("onnxruntime", "models") from None

FILE = "model.onnx"
DTYPES = {
    "tensor(bool)": np.dtype("?"),
    "tensor(double)": np.dtype("<f8"),
    "tensor(float)": SINGLE,
    "tensor(float16)": np.dtype("<f2"),
    "tensor(int16)": np.dtype("<i2"),
    "tensor(int32)": np.dtype("<i4"),
    "tensor(int64)": np.dtype("<i8"),
    "tensor(int8)": np.dtype("i1"),
    "tensor(string)": np.dtype(object),
    "tensor(uint8)": np.dtype("u1"),
}
"""What a graph may take."""

INPUT = "x"
"""The name of the only input where the columns are side by side."""

_OPSET = {"": 18, "ai.onnx.ml": 3}
"""Not the newest: what onnxruntime reads since 1.14, and has kernels in double precision for."""


class OnnxPredictor:
    """A session behind columns. What can be decided once is: this is called for every frame."""

    def __init__(self, graph: bytes, layout: Layout, inputs: Schema, outputs: Schema, threads: int) -> None:
        session = onnxruntime.InferenceSession(graph, options(threads), providers=["CPUExecutionProvider"])
        self._run = session.run
        self._feed = fed(layout, inputs, session.get_inputs())
        names = names_of(outputs)
        given = [output.name for output in session.get_outputs()]
        self._several = len(names) > 1 and len(given) == 1  # their outputs are the columns of one tensor
        self._wanted = wanted(given, list(outputs.names))
        self._outputs = [(field.name, field) for field in outputs.fields]
        self._first = inputs.names[0]

    def predict(self, columns: Columns) -> dict[str, np.ndarray]:
        found = self._run(self._wanted, self._feed(columns))
        if self._several:
            found = found[0].T
        rows = len(columns[self._first])
        return {
            name: conform(field, values, rows)
            for (name, field), values in zip(self._outputs, found, strict=True)
        }


def options(threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other workers need the cores
    return options


def fed(layout: Layout, inputs: Schema, taken: Sequence[Any]) -> Feed:
    """From columns to what the session takes: arrays by the names of its inputs, and of their types."""
    types = {each.name: DTYPES.get(each.type, np.dtype(object)) for each in taken}
    if layout is Layout.SEPARATE:
        flat = {each.name for each in taken if len(each.shape) == 1}
        plan = [(name, types[name], name in flat or inputs[name].shape) for name in inputs.names]
        return lambda columns: {
            name: _as(columns[name] if as_is else columns[name].reshape(-1, 1), dtype)
            for name, dtype, as_is in plan
        }
    ((name, dtype),) = types.items()
    if layout is Layout.ARRAY:
        (only,) = inputs.names
        return lambda columns: {name: _as(columns[only], dtype)}
    put_together = feed(layout, inputs, number=SINGLE) if dtype == SINGLE else feed(layout, inputs)
    return lambda columns: {name: _as(put_together(columns), dtype)}


def _as(values: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    return values if values.dtype == dtype else values.astype(dtype)


def wanted(given: list[str], outputs: list[str]) -> list[str]:
    """The graph's outputs for these: by their names where it has all of them, else the first ones."""
    return outputs if set(outputs) <= set(given) else given[: len(outputs)]


def open(package: Path, manifest: Manifest, allowed: Allowed) -> OnnxPredictor:
    try:
        graph = (package / FILE).read_bytes()
        return OnnxPredictor(
            graph, Layout(manifest.layout), manifest.inputs, manifest.outputs, allowed.threads
        )
    except Exception as error:  # onnxruntime's exceptions share no base; the bytes are those of the digest
        raise VersionConflict(
            f"{manifest.model}: the installed onnxruntime {onnxruntime.__version__} cannot read what "
            f"{manifest.libraries.get('onnxruntime', 'a newer one')} wrote: {first_line(error)}; install "
            "the package's requirements.txt"
        ) from None


# --- writing --------------------------------------------------------------------------------


def keep(given: Given) -> Kept:
    from podium.models.formats import onnx_file  # only while packing, and it needs this module

    return onnx_file.keep(given)


def write(fitted: Fitted, package: Path) -> Written | Unfit:
    original = Estimator(fitted.model, fitted.layout, fitted.inputs, fitted.outputs)
    expected = original.predict(fitted.probes)
    reasons = []
    for layout, single in _ways(fitted):
        tolerance = single_tolerance(expected) if single else EXACT
        try:
            graph = _convert(fitted, layout, single)
            agrees = _agrees(graph, fitted, layout, expected, tolerance)
        except MissingExtra:
            raise
        except Exception as error:  # converters and sessions raise whatever they like: it does not fit
            reasons.append(first_line(error))
            continue
        if agrees:
            (package / FILE).write_bytes(graph)
            why = f"the converted model's answers are the same to {tolerance.relative:g}"
            return Written(layout=layout, tolerance=tolerance, libraries=["numpy", "onnxruntime"], why=why)
        reasons.append(f"the converted model's answers differ by more than {tolerance.relative:g}")
    return Unfit(min(reasons, key=lambda reason: "differ" not in reason))


def _ways(fitted: Fitted) -> Iterator[tuple[Layout, bool]]:
    strings = [field.type is Kind.STRING for field in fitted.inputs.fields]
    if fitted.layout is Layout.ARRAY:
        layouts = [Layout.ARRAY]
    elif any(strings) and not all(strings):
        layouts = [Layout.SEPARATE]
    else:
        layouts = [Layout.MATRIX, Layout.SEPARATE]
    for single in (False, True):
        for layout in layouts:
            yield layout, single


def single_tolerance(expected: Columns) -> Tolerance:
    """Close to zero a single's error is relative to the numbers that were added up."""
    numbers = [np.abs(values).max() for values in expected.values() if values.dtype.kind == "f"]
    return Tolerance(
        relative=SINGLE_RELATIVE, absolute=float(f"{SINGLE_RELATIVE * max(numbers, default=1.0) / 10:.0e}")
    )


def _convert(fitted: Fitted, layout: Layout, single: bool) -> bytes:
    try:
        from skl2onnx import convert_sklearn  # slow, and only while packing
    except ImportError:
        raise MissingExtra("skl2onnx", "models") from None
    options = {id(fitted.model): {"zipmap": False}} if hasattr(fitted.model, "predict_proba") else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecations between scikit-learn and its converter
        graph = convert_sklearn(
            fitted.model,
            name="podium",  # else a random one, and another digest each time
            initial_types=_types(layout, fitted.inputs, single),
            options=options,
            target_opset=_OPSET,
        )
    if has_trees(graph):
        if not single:
            raise ModelFailed("trees compare in single precision, as scikit-learn's do")
        sum_in_double(graph)
    encoded: bytes = graph.SerializeToString(deterministic=True)
    return encoded


def _types(layout: Layout, inputs: Schema, single: bool) -> list[tuple[str, Any]]:
    from skl2onnx.common import data_types as types  # slow, and only while packing

    number = types.FloatTensorType if single else types.DoubleTensorType
    own = {Kind.FLOAT: number, Kind.INT: types.Int64TensorType, Kind.STRING: types.StringTensorType}
    own[Kind.BOOL] = types.BooleanTensorType
    if layout is Layout.SEPARATE:
        return [(field.name, own[field.type]([None, 1])) for field in inputs.fields]
    first = inputs.fields[0]
    if layout is Layout.ARRAY:
        return [(INPUT, own[first.type]([None, *first.shape]))]
    strings = first.type is Kind.STRING
    only = own[first.type] if len(inputs.fields) == 1 or strings else number
    return [(INPUT, only([None, len(inputs.fields)]))]


def _agrees(graph: bytes, fitted: Fitted, layout: Layout, expected: Columns, tolerance: Tolerance) -> bool:
    """Whether the graph gives the original's answers, for many rows at once and for one alone."""
    converted = OnnxPredictor(graph, layout, fitted.inputs, fitted.outputs, threads=1)
    for rows in (slice(None), slice(1)):
        found = converted.predict(take(fitted.probes, rows))
        if first_difference(fitted.outputs, take(expected, rows), found, tolerance) is not None:
            return False
    return True


def first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
