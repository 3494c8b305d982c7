"""Recognise the logistic functions written out.

    Sigmoid(x)  = 1 / (1 + exp(-x))          a Sigmoid(x) = a / (1 + exp(-x))
    Softplus(x) = log(1 + exp(x))

The exponential grows beyond all that 8 bits hold, whereas the functions themselves have narrow ranges or tables.
"""

from __future__ import annotations

import onnx_ir as ir

from qconv.model.edit import Editor
from qconv.model.formula import Steps
from qconv.model.graph import const_array

from .affine import affine_of
from .product import is_rounded_within, remove_dead


def fuse_logistic(model: ir.Model) -> int:
    """Replace every one of them; returns their number."""
    editor = Editor(model.graph)
    return sum(_fuse(editor, node) for node in tuple(model.graph))


def _fuse(editor: Editor, node: ir.Node) -> int:
    if node.graph is not editor.graph or node.domain or node.op_type not in ("Div", "Reciprocal", "Log"):
        return 0
    total = node.inputs[-1]
    power = None if total is None else _exponent(total)
    if total is None or power is None or is_rounded_within(node, power):
        return 0
    steps, maker = Steps(editor, node), total.producer()
    if node.op_type == "Log":
        steps.last("Softplus", power)
    else:
        x = _negated(power, steps)
        number = node.inputs[0] if node.op_type == "Div" else None
        if number is None or _is_one(number):
            steps.last("Sigmoid", x)
        else:
            steps.last("Mul", number, steps("Sigmoid", x))
    remove_dead(editor, [maker])
    return 1


def _exponent(value: ir.Value) -> ir.Value | None:
    """u of a value 1 + exp(u)."""
    maker = value.producer()
    step = None if maker is None else affine_of(maker)
    if step is None or step[1].axis is not None or step[1].scales or step[1].shift[0] != 1:
        return None
    power = step[0].producer()
    return power.inputs[0] if power is not None and power.op_type == "Exp" and not power.domain else None


def _negated(value: ir.Value, steps: Steps) -> ir.Value:
    """-u, without a Neg behind a Neg or behind a product with a constant."""
    maker = value.producer()
    if maker is not None and maker.op_type == "Neg" and not maker.domain and maker.inputs[0] is not None:
        return maker.inputs[0]
    step = None if maker is None else affine_of(maker)
    if step is None or step[1].axis is not None or step[1].shifts:
        return steps("Neg", value)
    factor = -float(step[1].scale[0])
    return step[0] if factor == 1 else steps("Mul", step[0], steps.constant(factor))


def _is_one(value: ir.Value) -> bool:
    array = const_array(value)
    return array is not None and array.size == 1 and array.ndim == 0 and float(array.reshape(())) == 1
