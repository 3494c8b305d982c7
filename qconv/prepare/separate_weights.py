"""Give each layer weights and biases of its own, so that quantizing one never touches another.

The arrays themselves stay shared where they lie in memory or are mapped.
"""

from __future__ import annotations

import onnx_ir as ir

from qconv.model.edit import Editor
from qconv.model.graph import const_array

from .layers import WITH_BIAS


def separate_weights(model: ir.Model) -> int:
    """Copy the weights and biases that more than one input reads; returns the number of copies."""
    editor = Editor(model.graph)
    layers = [node for node in model.graph if node.op_type in (*WITH_BIAS, "MatMul") and not node.domain]
    return sum(_separate(editor, node, index) for node in layers for index in range(1, len(node.inputs)))


def _separate(editor: Editor, node: ir.Node, index: int) -> int:
    value = node.inputs[index]
    if value is None or editor.owns(value) or (array := const_array(value)) is None:
        return 0
    node.replace_input_with(index, editor.constant(f"{node.name}/{'weight' if index == 1 else 'bias'}", array))
    return 1
