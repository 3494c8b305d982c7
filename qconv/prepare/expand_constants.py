"""Write a ConstantOfShape of reals as an Expand of one number: the start of a state is then a constant like any other."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.model.edit import Editor


def expand_constants(model: ir.Model) -> int:
    """Replace every ConstantOfShape of float32 whose shape is computed; returns their number."""
    editor = Editor(model.graph)
    return sum(_replace(editor, node) for node in tuple(model.graph) if node.op_type == "ConstantOfShape" and not node.domain)


def _replace(editor: Editor, node: ir.Node) -> int:
    shape, given = node.inputs[0], node.attributes.get("value")
    array = np.zeros(1, np.float32) if given is None else given.as_tensor().numpy()
    if shape is None or array.dtype != np.float32:
        return 0
    number = editor.constant(f"{node.name}/value", array.reshape(()))
    editor.rewrite(node, "Expand", [number, shape])
    return 1
