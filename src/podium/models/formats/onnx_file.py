"""ONNX files from anywhere: how a graph's inputs and outputs fit names, and proof that it takes batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from podium.errors import MissingExtra, PackageError, ProjectError
from podium.models.estimator import PROBABILITY, named
from podium.models.formats.base import EXACT, Given, Kept, Written
from podium.models.formats.onnx import (
    DTYPES,
    FILE,
    OnnxPredictor,
    fed,
    first_line,
    options,
    single_tolerance,
    wanted,
)
from podium.models.formats.table import outputs_of
from podium.models.layout import Layout
from podium.models.samples import first_difference
from podium.models.values import take
from podium.schema import Field, Schema

_OPEN = "rows"
_LABELS = ("classlabels_int64s", "classlabels_ints", "classlabels_strings")


def keep(given: Given) -> Kept:
    """Raises ProjectError, PackageError or MissingExtra."""
    graph, changes = _read(given.model)
    labels = _labels(graph)
    changes += [*_without_zipmap(graph), *_with_open_rows(graph)]
    content = graph.SerializeToString(deterministic=True)
    if isinstance(given.model, Path) and not changes:
        content = given.model.read_bytes()  # as it is
    session = _session(content)
    taken, gives = session.get_inputs(), [output.name for output in session.get_outputs()]
    layout = _layout(given.inputs, taken)
    names = _names(given.names, session.get_outputs())
    found = _run(session, fed(layout, given.inputs, taken)(given.columns), wanted(gives, names))
    outputs = _outputs(found, names, labels)
    predictor = OnnxPredictor(content, layout, given.inputs, outputs, threads=1)
    answers = predictor.predict(given.columns)
    tolerance = (
        EXACT if all(values.dtype != np.dtype("f4") for values in found) else single_tolerance(answers)
    )
    alone = predictor.predict(take(given.columns, slice(1)))
    if first_difference(outputs, take(answers, slice(1)), alone, tolerance) is not None:
        raise PackageError("the graph answers a row otherwise when it is alone: it mixes the rows of a batch")
    (given.folder / FILE).write_bytes(content)
    written = Written(
        layout=layout,
        tolerance=tolerance,
        libraries=["numpy", "onnxruntime"],
        why="; ".join(["it is an ONNX file", *(changes or ["kept as it is"])]),
    )
    return Kept(format="onnx", outputs=outputs, answers=answers, written=written)


def _read(model: Any) -> tuple[Any, list[str]]:
    """The graph with all of its weights in it, and what that changed: a file may have them beside it."""
    try:
        import onnx  # slow, and only while packing
    except ImportError:
        raise MissingExtra("onnx", "models") from None
    if isinstance(model, onnx.ModelProto):
        return model, []
    if not isinstance(model, Path):
        raise ProjectError(f"{type(model).__name__} is no graph: give an onnx.ModelProto or a file's path")
    try:
        graph = onnx.load(model, load_external_data=False)
        elsewhere = any(onnx.external_data_helper.uses_external_data(w) for w in graph.graph.initializer)
        onnx.load_external_data_for_model(graph, str(model.parent))
    except Exception as error:  # protobuf's, and onnx's own for weights that are elsewhere
        raise PackageError(f"{model.name} is no ONNX file: {first_line(error)}") from None
    return graph, ["the weights beside it were put into it"] if elsewhere else []


def _session(content: bytes) -> Any:
    try:
        return onnxruntime.InferenceSession(content, options(threads=1), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base
        raise PackageError(f"onnxruntime cannot run this graph: {first_line(error)}") from None


def _run(session: Any, fed: dict[str, np.ndarray], outputs: list[str]) -> list[np.ndarray]:
    try:
        found = session.run(outputs, fed)
    except Exception as error:  # onnxruntime's exceptions share no base
        rows = len(next(iter(fed.values())))
        raise PackageError(
            f"the graph does not score its {rows} examples: {first_line(error)}; it must take any number of "
            "rows on the first axis of each input"
        ) from None
    for name, values in zip(outputs, found, strict=True):
        if not isinstance(values, np.ndarray):
            raise ProjectError(f"the graph's output {name!r} is no tensor; name its others in `output`")
    return list(found)


# --- what a graph takes and gives -----------------------------------------------------------


def _layout(inputs: Schema, taken: list[Any]) -> Layout:
    """How these inputs are put together for the graph. Raises ProjectError where they do not fit."""
    takes = ", ".join(f"{each.name}: {each.type}{list(each.shape)}" for each in taken)
    misfit = ProjectError(f"the graph takes {takes}; the inputs are {inputs}")
    if any(each.type not in DTYPES for each in taken):
        raise misfit
    if len(taken) > 1 or (len(inputs.fields) == 1 and inputs.names == (taken[0].name,)):
        if {each.name for each in taken} != set(inputs.names):
            raise misfit
        if not all(_fits(inputs[each.name], each.shape) for each in taken):
            raise misfit
        return Layout.SEPARATE
    shape, first = taken[0].shape, inputs.fields[0]
    if len(inputs.fields) == 1 and (first.shape or len(shape) == 1):
        if not _same(first.shape, shape[1:]):
            raise misfit
        return Layout.ARRAY
    if any(field.shape for field in inputs.fields) or not _same((len(inputs.fields),), shape[1:]):
        raise misfit
    return Layout.MATRIX


def _fits(field: Field, shape: list[Any]) -> bool:
    """A single value may be a column of its own: [rows, 1]."""
    return _same(field.shape, shape[1:]) or (not field.shape and _same((1,), shape[1:]))


def _same(field: tuple[int, ...], shape: list[Any]) -> bool:
    """An axis of the graph with a name, or none, takes any size."""
    return len(field) == len(shape) and all(
        not isinstance(size, int) or size == own for own, size in zip(field, shape, strict=True)
    )


def _names(names: list[str], gives: list[Any]) -> list[str]:
    """A graph whose outputs are labels and a row of numbers is a classifier with probabilities."""
    if len(names) == 1 and names[0] not in {output.name for output in gives} and len(gives) > 1:
        label, numbers = gives[:2]
        is_label = label.type in ("tensor(int64)", "tensor(string)") and len(label.shape) <= 1
        if is_label and numbers.type in ("tensor(float)", "tensor(double)") and len(numbers.shape) == 2:
            return [*names, f"{names[0]}{PROBABILITY}"]
    if len(names) > len(gives) > 1:
        raise ProjectError(
            f"output names {len(names)} values, the graph gives {', '.join(output.name for output in gives)}"
        )
    return names


def _outputs(found: list[np.ndarray], names: list[str], labels: list[str]) -> Schema:
    by_name = named(found[0], names) if len(found) < len(names) else dict(zip(names, found, strict=True))
    if names[1:] != [f"{names[0]}{PROBABILITY}"]:
        return outputs_of(by_name, None)
    count = found[-1].shape[1]
    return outputs_of(by_name, np.array(labels if len(labels) == count else range(count)))


# --- what is changed in a graph -------------------------------------------------------------


def _labels(graph: Any) -> list[str]:
    """The classes' names, where a node has them."""
    for node in graph.graph.node:
        for attribute in node.attribute:
            if attribute.name in _LABELS:
                return [str(n) for n in attribute.ints] or [s.decode() for s in attribute.strings]
    return []


def _without_zipmap(graph: Any) -> list[str]:
    """Probabilities as a tensor: scikit-learn's converter makes a dictionary of each row."""
    nodes = [node for node in graph.graph.node if node.op_type == "ZipMap"]
    for node in nodes:
        for output in graph.graph.output:
            if output.name == node.output[0]:
                output.name = node.input[0]
                output.type.tensor_type.elem_type = 1  # ZipMap takes float
                for _ in range(2):
                    output.type.tensor_type.shape.dim.add()
        graph.graph.node.remove(node)
    return ["its probabilities are a tensor instead of dictionaries"] if nodes else []


def _with_open_rows(graph: Any) -> list[str]:
    """A first axis of 1 becomes open; whether the graph then takes batches is tried with the examples."""
    weights = {weight.name for weight in graph.graph.initializer}
    changed = False
    for value in (*graph.graph.input, *graph.graph.output):
        axes = value.type.tensor_type.shape.dim
        if value.name not in weights and axes and axes[0].dim_value == 1:
            axes[0].dim_param = _OPEN
            changed = True
    return ["its first axis, 1, was made open"] if changed else []
