"""Norms by the root mean square, written in operators of ai.onnx where they stay in float.

onnxruntime has SimplifiedLayerNormalization in the standard's domain, but the standard has not: a file with one is no valid ONNX.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.model.edit import Editor
from qconv.model.graph import attr_float, attr_int


def spell_norms(graph: ir.Graph) -> int:
    """Writes x / sqrt(mean(x^2) + epsilon) * scale in place of every such norm; returns their number."""
    editor = Editor(graph)
    return sum(
        _spell(editor, node) for node in tuple(graph) if node.op_type == "SimplifiedLayerNormalization" and not node.domain
    )


def _spell(editor: Editor, node: ir.Node) -> bool:
    x, scale = node.inputs[:2]
    axis = attr_int(node, "axis", -1)
    rank = len(x.shape) if x is not None and x.shape is not None else None
    if x is None or any(output.uses() for output in node.outputs[1:]) or (rank is None and axis != -1):
        return False
    axes = [-1] if axis == -1 or rank is None else list(range(axis % rank, rank))
    epsilon = editor.constant(f"{node.name}/epsilon", np.asarray(attr_float(node, "epsilon", 1e-5), np.float32))
    square = editor.insert_before(node, "Mul", [x, x], name=f"{node.name}/square", shape=x.shape)
    over = editor.constant(f"{node.name}/over", np.asarray(axes, np.int64))
    mean = editor.insert_before(node, "ReduceMean", [square, over], name=f"{node.name}/mean")
    total = editor.insert_before(node, "Add", [mean, epsilon], name=f"{node.name}/add")
    root = editor.insert_before(node, "Sqrt", [total], name=f"{node.name}/root")
    row = editor.insert_before(node, "Div", [x, root], name=f"{node.name}/divide", shape=x.shape)
    node.resize_outputs(1)
    editor.rewrite(node, "Mul", [row, scale])
    return True
