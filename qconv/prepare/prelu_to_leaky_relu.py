"""Write PRelu with one constant slope for all elements as LeakyRelu."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.model.edit import Editor
from qconv.model.graph import const_array, is_float


def prelu_to_leaky_relu(model: ir.Model) -> int:
    """Replace every PRelu with a single slope; returns their number."""
    editor = Editor(model.graph)
    return sum(_replace(editor, node) for node in tuple(model.graph) if node.op_type == "PRelu" and not node.domain)


def _replace(editor: Editor, node: ir.Node) -> int:
    x, slope = node.inputs[0], const_array(node.inputs[1])
    if x is None or slope is None or slope.size == 0 or not is_float(x) or np.any(slope != slope.flat[0]):
        return 0
    editor.rewrite(node, "LeakyRelu", [x], {"alpha": float(slope.flat[0])})
    return 1
