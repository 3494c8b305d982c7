"""J^T g of activations and of arithmetic between tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from onnx_ir.tape import Tape

from qconv.autodiff.rule import Parts, Rule, constant, masked, operand
from qconv.model.graph import attr_float, attr_int


def _clamp(tape: Tape, node: ir.Node, gradient: ir.Value, wanted: Sequence[int]) -> Parts:
    if 0 in wanted:
        yield 0, masked(tape, gradient, tape.op("Equal", [operand(node), node.outputs[0]]))


def _leaky_relu(tape: Tape, node: ir.Node, gradient: ir.Value, wanted: Sequence[int]) -> Parts:
    slope = tape.op("Mul", [gradient, constant(tape, attr_float(node, "alpha", 0.01))])
    yield 0, tape.op("Where", [tape.op("Greater", [operand(node), constant(tape, 0.0)]), gradient, slope])


def _sigmoid(tape: Tape, node: ir.Node, gradient: ir.Value, wanted: Sequence[int]) -> Parts:
    y = node.outputs[0]
    yield 0, tape.op("Mul", [gradient, tape.op("Sub", [y, tape.op("Mul", [y, y])])])


def _tanh(tape: Tape, node: ir.Node, gradient: ir.Value, wanted: Sequence[int]) -> Parts:
    y = node.outputs[0]
    yield 0, tape.op("Mul", [gradient, tape.op("Sub", [constant(tape, 1.0), tape.op("Mul", [y, y])])])


def _exp(tape: Tape, node: ir.Node, gradient: ir.Value, wanted: Sequence[int]) -> Parts:
    yield 0, tape.op("Mul", [gradient, node.outputs[0]])


def _negated(tape: Tape, node: ir.Node, gradient: ir.Value, wanted: Sequence[int]) -> Parts:
    yield 0, tape.op("Neg", [gradient])


def _softmax(tape: Tape, node: ir.Node, gradient: ir.Value, wanted: Sequence[int]) -> Parts:
    """The gradient of a Softmax: y (g - sum(g y)) along its axis."""
    y = node.outputs[0]
    axis = constant(tape, [attr_int(node, "axis", -1)], np.int64)
    mean = tape.op("ReduceSum", [tape.op("Mul", [gradient, y]), axis], {"keepdims": 1})
    yield 0, tape.op("Mul", [y, tape.op("Sub", [gradient, mean])])


def _hard_sigmoid(tape: Tape, node: ir.Node, gradient: ir.Value, wanted: Sequence[int]) -> Parts:
    y = node.outputs[0]
    inside = tape.op("Greater", [tape.op("Sub", [y, tape.op("Mul", [y, y])]), constant(tape, 0.0)])
    yield 0, masked(tape, tape.op("Mul", [gradient, constant(tape, attr_float(node, "alpha", 0.2))]), inside)


def _hard_swish(tape: Tape, node: ir.Node, gradient: ir.Value, wanted: Sequence[int]) -> Parts:
    """Slope x / 3 + 1 / 2 between -3 and 3, where x relu6(x + 3) / 6 is curved; 0 below and 1 above."""
    x = operand(node)
    curved = tape.op("Add", [tape.op("Mul", [x, constant(tape, 1 / 3)]), constant(tape, 0.5)])
    above = tape.op("Where", [tape.op("Less", [x, constant(tape, 3.0)]), curved, constant(tape, 1.0)])
    yield 0, masked(tape, tape.op("Mul", [gradient, above]), tape.op("Greater", [x, constant(tape, -3.0)]))


def _sum(tape: Tape, node: ir.Node, gradient: ir.Value, wanted: Sequence[int]) -> Parts:
    for index in wanted:
        minus = node.op_type == "Sub" and index == 1
        yield from unbroadcast(tape, node, tape.op("Neg", [gradient]) if minus else gradient, index)


def _product(tape: Tape, node: ir.Node, gradient: ir.Value, wanted: Sequence[int]) -> Parts:
    for index in wanted:
        yield from unbroadcast(tape, node, tape.op("Mul", [gradient, operand(node, 1 - index)]), index)


def _quotient(tape: Tape, node: ir.Node, gradient: ir.Value, wanted: Sequence[int]) -> Parts:
    if 0 in wanted:
        yield from unbroadcast(tape, node, tape.op("Div", [gradient, operand(node, 1)]), 0)


def unbroadcast(tape: Tape, node: ir.Node, gradient: ir.Value, index: int) -> Parts:
    """Sums over the axes on which an operand of the same rank was repeated."""
    value, result = operand(node, index), node.outputs[0]
    if value.shape is None or result.shape is None or len(value.shape) != len(result.shape):
        return
    if value.shape == result.shape:
        yield index, gradient
        return
    differs = tape.op("Not", [tape.op("Equal", [tape.op("Shape", [value]), tape.op("Shape", [gradient])])])
    axes = tape.op("Reshape", [tape.op("NonZero", [differs]), constant(tape, [-1], np.int64)])
    yield index, tape.op("ReduceSum", [gradient, axes], {"keepdims": 1, "noop_with_empty_axes": 1})


def _mean(tape: Tape, node: ir.Node, gradient: ir.Value, wanted: Sequence[int]) -> Parts:
    if 0 in wanted and attr_int(node, "keepdims", 1):
        sizes = [tape.op("Cast", [tape.op("Size", [value])], {"to": ir.DataType.FLOAT}) for value in (gradient, operand(node))]
        share = tape.op("Mul", [gradient, tape.op("Div", sizes)])
        yield 0, tape.op("Expand", [share, tape.op("Shape", [operand(node)])])


POINTWISE: dict[str, Rule] = {
    **dict.fromkeys(("Clip", "Relu"), _clamp),
    **dict.fromkeys(("Add", "Sub", "Sum"), _sum),
    **dict.fromkeys(("GlobalAveragePool", "ReduceMean"), _mean),
    "Div": _quotient,
    "Exp": _exp,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "LeakyRelu": _leaky_relu,
    "Mul": _product,
    "Neg": _negated,
    "Sigmoid": _sigmoid,
    "Softmax": _softmax,
    "Tanh": _tanh,
}
