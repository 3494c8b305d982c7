"""Give each layer weights and biases of its own, so that quantizing one never touches another.

The copies share one array: the layers of a recurrent network, written out step by step, have one weight.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.edit import Editor
from qconv.model.graph import const_array

from .layers import WITH_BIAS

Array = NDArray[np.generic]


def separate_weights(model: ir.Model) -> int:
    """Copy the weights and biases that more than one input reads; returns the number of copies."""
    editor, arrays = Editor(model.graph), dict[ir.Value, Array | None]()
    layers = [node for node in model.graph if node.op_type in (*WITH_BIAS, "MatMul") and not node.domain]
    return sum(_separate(editor, arrays, node, index) for node in layers for index in range(1, len(node.inputs)))


def _separate(editor: Editor, arrays: dict[ir.Value, Array | None], node: ir.Node, index: int) -> int:
    """`arrays` are those that were read before: reading one anew may copy it."""
    value = node.inputs[index]
    if value is None or editor.owns(value):
        return 0
    if value not in arrays:
        arrays[value] = const_array(value)
    array = arrays[value]
    if array is None:
        return 0
    node.replace_input_with(index, editor.constant(f"{node.name}/{'weight' if index == 1 else 'bias'}", array))
    return 1
