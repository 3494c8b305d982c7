"""Bring Gemm to the form x w + b: alpha = beta = 1, transA = 0, b one row.

    alpha x' w + beta c  =  x (alpha w) + (beta c)          x = transpose(x') if transA

1. A constant c that is one row, or one number, becomes b [N]; c = 0 times anything is dropped.
2. Any other c is added by a node of its own.
3. Where w is computed, alpha scales x instead.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.model.edit import Attribute, Editor
from qconv.model.graph import attr_float, attr_int, const_array


def normalize_gemm(model: ir.Model) -> int:
    """Bring every Gemm to the plain form; returns the number of nodes changed."""
    editor = Editor(model.graph)
    return sum(_normalize(editor, node) for node in tuple(model.graph) if node.op_type == "Gemm" and not node.domain)


def _normalize(editor: Editor, node: ir.Node) -> int:
    if node.inputs[0] is None or node.inputs[0].dtype != ir.DataType.FLOAT:
        return 0
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    changed = _apply_trans_a(editor, node) + _apply_alpha(editor, node)
    if bias is not None:
        changed += _apply_beta(editor, node, bias)
    node.attributes.pop("beta", None)
    return int(changed > 0)


def _apply_trans_a(editor: Editor, node: ir.Node) -> int:
    x = node.inputs[0]
    if not attr_int(node, "transA", 0) or x is None:
        return 0
    shape = None if x.shape is None else ir.Shape(list(x.shape)[::-1])
    turned = editor.insert_before(node, "Transpose", [x], {"perm": [1, 0]}, name=f"{node.name}/transpose", shape=shape)
    node.replace_input_with(0, turned)
    node.attributes.pop("transA")
    return 1


def _apply_alpha(editor: Editor, node: ir.Node) -> int:
    x, alpha = node.inputs[0], attr_float(node, "alpha", 1.0)
    node.attributes.pop("alpha", None)
    if alpha == 1.0:
        return 0
    if (weight := const_array(node.inputs[1])) is not None:
        editor.set_constant(node, 1, (weight.astype(np.float64) * alpha).astype(np.float32), "weight")
        return 1
    assert x is not None
    factor = editor.constant(f"{node.name}/alpha", np.array(alpha, np.float32))
    node.replace_input_with(0, editor.insert_before(node, "Mul", [x, factor], name=f"{node.name}/scale", shape=x.shape))
    return 1


def _apply_beta(editor: Editor, node: ir.Node, bias: ir.Value) -> int:
    """Fold beta into the constant bias; move any other bias behind the node."""
    beta, array, columns = attr_float(node, "beta", 1.0), const_array(bias), _columns(node)
    if beta == 0.0:
        node.resize_inputs(2)
        return 1
    if array is not None and beta == 1.0 and array.shape == (columns,):
        return 0
    if array is not None and columns is not None and array.size in (1, columns) and array.shape[-1:] in ((), (1,), (columns,)):
        row = np.broadcast_to(array.astype(np.float64).reshape(-1) * beta, (columns,))
        editor.set_constant(node, 2, row.astype(np.float32), "bias")
        return 1
    _split_bias(editor, node, bias, beta)
    return 1


def _split_bias(editor: Editor, node: ir.Node, bias: ir.Value, beta: float) -> None:
    """A Gemm in front of the node does the product, under its name; the node becomes the Add."""
    weight, attributes = node.inputs[1], dict[str, Attribute](transB=attr_int(node, "transB", 0))
    shape = node.outputs[0].shape
    name = str(node.name)
    product = editor.insert_before(
        node, "Gemm", [node.inputs[0], weight], attributes, name=f"{name}/add_bias", shape=shape, main=True
    )
    if beta != 1.0:
        factor = editor.constant(f"{name}/beta", np.array(beta, np.float32))
        bias = editor.insert_before(node, "Mul", [bias, factor], name=f"{name}/scale_bias", shape=bias.shape)
    editor.rewrite(node, "Add", [product, bias])


def _columns(node: ir.Node) -> int | None:
    """N, the number of output columns, if it is known."""
    weight = node.inputs[1]
    size = None if weight is None or weight.shape is None else weight.shape[0 if attr_int(node, "transB", 0) else 1]
    return size if isinstance(size, int) else None
