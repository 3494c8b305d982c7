"""Join a MatMul of matrices and the Add of its bias.

    x [M, K] @ w [K, N] + b [N]  =  Gemm(x, w, b)

A MatMul of more than two dimensions, which Gemm does not have, keeps its Add.
"""

from __future__ import annotations

import onnx_ir as ir

from qconv.model.edit import Editor
from qconv.model.graph import const_array, sole_consumer

from .affine import affine_of


def matmul_to_gemm(model: ir.Model) -> int:
    """Turn MatMul and Add of constants into Gemm; returns the number of pairs."""
    editor = Editor(model.graph)
    return sum(_join(editor, node) for node in tuple(model.graph) if node.op_type == "MatMul")


def _join(editor: Editor, node: ir.Node) -> int:
    x, product = node.inputs[0], node.outputs[0]
    add = sole_consumer(product)
    if x is None or x.shape is None or len(x.shape) != 2 or add is None or add.graph is not node.graph:
        return 0
    step = affine_of(add)
    if step is None or step[0] is not product or step[1].scales or step[1].axis not in (None, 1):
        return 0
    weight = const_array(node.inputs[1])
    if weight is None or weight.ndim != 2:
        return 0
    bias = step[1].shift if step[1].axis is not None else step[1].shift.repeat(weight.shape[1])
    editor.rewrite(node, "Gemm", [x, node.inputs[1]])
    editor.set_constant(node, 2, bias.astype("float32"), "bias")
    editor.take_over(add.outputs[0], product)
    return 1
