"""Tree ensembles in ONNX, made to sum in double precision.

skl2onnx writes scikit-learn's trees in single precision. Thresholds lose nothing by that: scikit-learn
compares in single precision too, and the converter rounds them so that every comparison stays. Sums
do: a hundred trees differ by 1.4e-6. Since `ai.onnx.ml` 3 the same nodes take doubles.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_NODES = {"TreeEnsembleRegressor", "TreeEnsembleClassifier"}
_DOUBLES = {"nodes_values", "target_weights", "class_weights", "base_values"}


def has_trees(graph: Any) -> bool:
    return any(node.op_type in _NODES for node in graph.graph.node)


def sum_in_double(model: Any) -> None:
    """Change each ensemble's numbers, and what goes into it, to doubles; in place."""
    from onnx import NodeProto, TensorProto, helper  # slow, and only while packing

    nodes = []
    for node in model.graph.node:
        changed = NodeProto()
        changed.CopyFrom(node)
        if node.op_type in _NODES:
            wide = f"{node.input[0]}_{node.name}_double"
            nodes.append(helper.make_node("Cast", [node.input[0]], [wide], name=wide, to=TensorProto.DOUBLE))
            changed.input[0] = wide
            _widen(changed)
        nodes.append(changed)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    for opset in model.opset_import:
        if opset.domain == "ai.onnx.ml":
            opset.version = 3


def _widen(node: Any) -> None:
    from onnx import helper, numpy_helper  # slow, and only while packing

    kept = [attribute for attribute in node.attribute if attribute.name not in _DOUBLES | {"nodes_hitrates"}]
    wide = [
        helper.make_attribute(
            f"{attribute.name}_as_tensor",
            numpy_helper.from_array(np.array(attribute.floats, "<f8"), attribute.name),
        )
        for attribute in node.attribute
        if attribute.name in _DOUBLES
    ]
    del node.attribute[:]
    node.attribute.extend([*kept, *wide])
