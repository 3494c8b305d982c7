"""Operators of com.microsoft that are short formulas, written with the standard's.

FastGelu(x, b)                gelu(x + b), by tanh         SkipLayerNormalization(x, s, g, b, c)   norm(x + s + c)
BiasGelu(x, b)                gelu(x + b)                  FusedMatMul(a, b)                       alpha a' b'
QuickGelu(x)                  x sigmoid(alpha x)
"""

from __future__ import annotations

import onnx_ir as ir

from qconv.model.edit import Attribute, Editor
from qconv.model.formula import Steps
from qconv.model.graph import attr_float, attr_int


def write_contrib(editor: Editor, node: ir.Node) -> int:
    """Rewrites one of them; 0 where a form of it has no counterpart."""
    steps, x = Steps(editor, node), node.inputs[0]
    match node.op_type:
        case "FastGelu" | "BiasGelu":
            bias = node.inputs[1] if len(node.inputs) > 1 else None
            form = "tanh" if node.op_type == "FastGelu" else "none"
            return steps.last("Gelu", x if bias is None else steps("Add", x, bias), approximate=form)
        case "QuickGelu":
            alpha = attr_float(node, "alpha", 1.702)
            return steps.last("Mul", x, steps("Sigmoid", steps("Mul", x, steps.constant(alpha))))
        case "FusedMatMul":
            return _fused_matmul(node, steps)
        case _:
            return _skip_norm(node, steps)


def _fused_matmul(node: ir.Node, steps: Steps) -> int:
    if attr_int(node, "transBatchA", 0) or attr_int(node, "transBatchB", 0):
        return 0
    operands, alpha = [], attr_float(node, "alpha", 1.0)
    for value, key in zip(node.inputs, ("transA", "transB"), strict=True):
        if value is None or value.shape is None:
            return 0
        sizes, order = list(value.shape), list(range(len(value.shape)))
        if attr_int(node, key, 0):
            sizes[-2:], order[-2:] = sizes[-2:][::-1], order[-2:][::-1]
            value = steps("Transpose", value, shape=sizes, perm=order)
        operands.append(value)
    if alpha == 1.0:
        return steps.last("MatMul", *operands)
    return steps.last("Mul", steps("MatMul", *operands, shape=node.outputs[0].shape), steps.constant(alpha))


def _skip_norm(node: ir.Node, steps: Steps) -> int:
    """SkipLayerNormalization as Add and LayerNormalization; the sum may be an output too, the fourth."""
    simplified = "Simplified" in node.op_type
    x, skip, gamma, *others = node.inputs
    beta = None if simplified else (others[0] if others else None)
    bias = (others[0] if others else None) if simplified else (others[1] if len(others) > 1 else None)
    total = steps("Add", x, skip)
    if bias is not None:
        total = steps("Add", total, bias)
    if len(node.outputs) > 3 and (node.outputs[3].uses() or node.outputs[3].is_graph_output()):
        steps.hand_over(node.outputs[3], total)
    if any(output.uses() for output in node.outputs[1:3]):
        return 0
    attributes: dict[str, Attribute] = {"axis": -1, "epsilon": attr_float(node, "epsilon", 1e-12)}
    inputs = [total, gamma] if beta is None else [total, gamma, beta]
    return steps.last("SimplifiedLayerNormalization" if simplified else "LayerNormalization", *inputs, **attributes)
