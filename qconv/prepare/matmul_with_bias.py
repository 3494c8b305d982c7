"""Write a MatMul of more than two dimensions and the Add of its bias as a Gemm of its rows.

    x [..., K] @ w [K, N] + b [N]  =  Reshape(Gemm(Reshape(x, [-1, K]), w, b), [..., N])

So a product with a bias has one form only, whatever its rank. `matmul_to_gemm` has joined those of matrices before.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.model.edit import Editor
from qconv.model.graph import const_array, is_float, sole_consumer

from .affine import constant_operand


def matmul_with_bias(model: ir.Model) -> int:
    """Turn MatMul and Add of a constant row into Reshape, Gemm and Reshape; returns the number of pairs."""
    editor = Editor(model.graph)
    return sum(_join(editor, node) for node in tuple(model.graph) if node.op_type == "MatMul" and not node.domain)


def _join(editor: Editor, node: ir.Node) -> int:
    x, weight, product = node.inputs[0], const_array(node.inputs[1]), node.outputs[0]
    add = sole_consumer(product)
    if x is None or not is_float(x) or weight is None or weight.ndim != 2 or add is None or add.graph is not node.graph:
        return 0
    shape = add.outputs[0].shape
    if add.op_type != "Add" or add.domain or shape is None or product.shape is None or len(shape) != len(product.shape):
        return 0
    bias = constant_operand(add)[1]
    inner, columns = weight.shape
    if bias is None or 0 in shape or bias.size != columns or bias.shape[-1:] != (columns,):
        return 0
    name = str(node.name)
    target = _target(editor, add, x, shape, columns)
    rows = editor.constant(f"{name}/rows_shape", np.array([-1, inner], np.int64))
    matrix = editor.insert_before(node, "Reshape", [x, rows], name=f"{name}/rows", shape=ir.Shape([None, inner]))
    editor.rewrite(node, "Gemm", [matrix, node.inputs[1]])
    editor.set_constant(node, 2, np.ascontiguousarray(bias.reshape(-1)), "bias")
    product.shape = ir.Shape([None, columns])
    editor.rewrite(add, "Reshape", [product, target])
    return 1


def _target(editor: Editor, add: ir.Node, x: ir.Value, shape: ir.Shape, columns: int) -> ir.Value:
    """The shape of the result: a constant where one size at most is unknown, else that of x with the last size replaced."""
    name = str(add.name)
    sizes = [size if isinstance(size, int) else -1 for size in shape]
    if sizes.count(-1) <= 1:
        return editor.constant(f"{name}/shape", np.array(sizes, np.int64))
    whole, axes = ir.DataType.INT64, ir.Shape([len(sizes)])
    span = {"start": 0, "end": -1}
    leading = editor.insert_before(add, "Shape", [x], span, name=f"{name}/leading", shape=ir.Shape([len(sizes) - 1]), dtype=whole)
    last = editor.constant(f"{name}/columns", np.array([columns], np.int64))
    return editor.insert_before(add, "Concat", [leading, last], {"axis": 0}, name=f"{name}/sizes", shape=axes, dtype=whole)
