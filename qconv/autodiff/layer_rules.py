"""J^T g of layers with weights.

Convolution and its transposed form are each other's adjoint with the same weights; a batch norm without mean and beta is its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from onnx_ir.tape import Tape

from qconv.autodiff.rule import Parts, Rule, constant, operand
from qconv.model.graph import attr_float, attr_int, attr_ints, attr_str, const_array


def _conv(tape: Tape, node: ir.Node, gradient: ir.Value, wanted: Sequence[int]) -> Parts:
    """dL/dx = ConvTranspose(g, W). Where strides left the end of x unread, that gets zeros."""
    weight = const_array(node.inputs[1])
    if wanted[:1] != [0] or weight is None or not _padded_by_numbers(node):
        return
    rank = weight.ndim - 2
    strides, pads = attr_ints(node, "strides", [1] * rank), attr_ints(node, "pads", [0] * 2 * rank)
    exact = all(stride == 1 for stride in strides)
    attributes = {
        "dilations": attr_ints(node, "dilations", [1] * rank),
        "strides": strides,
        "pads": pads if exact else [*pads[:rank], *[0] * rank],
    }
    group = attr_int(node, "group", 1)
    full = tape.op("ConvTranspose", [gradient, node.inputs[1]], {**attributes, "group": group})
    yield 0, full if exact else _cut_to(tape, full, operand(node))


def _padded_by_numbers(node: ir.Node) -> bool:
    return attr_str(node, "auto_pad", "NOTSET") in ("NOTSET", "VALID") and "output_shape" not in node.attributes


def _cut_to(tape: Tape, gradient: ir.Value, value: ir.Value) -> ir.Value:
    """Zeros added or elements cut off at the ends of all axes, to the shape of `value`."""
    shape = tape.op("Shape", [value])
    missing = tape.op("Sub", [shape, tape.op("Shape", [gradient])])
    begin = tape.op("Sub", [shape, shape])
    return tape.op("Pad", [gradient, tape.op("Concat", [begin, missing], {"axis": 0})])


def _conv_transpose(tape: Tape, node: ir.Node, gradient: ir.Value, wanted: Sequence[int]) -> Parts:
    if wanted[:1] == [0] and const_array(node.inputs[1]) is not None and _padded_by_numbers(node):
        kept = {
            name: node.attributes[name].value for name in ("group", "dilations", "strides", "pads") if name in node.attributes
        }
        yield 0, _cut_to(tape, tape.op("Conv", [gradient, node.inputs[1]], kept), operand(node))


def _matmul(tape: Tape, node: ir.Node, gradient: ir.Value, wanted: Sequence[int]) -> Parts:
    weight = const_array(node.inputs[1])
    if wanted[:1] == [0] and weight is not None and weight.ndim == 2:
        yield 0, tape.op("MatMul", [gradient, constant(tape, weight.T)])


def _gemm(tape: Tape, node: ir.Node, gradient: ir.Value, wanted: Sequence[int]) -> Parts:
    weight = const_array(node.inputs[1])
    if wanted[:1] == [0] and weight is not None and not attr_int(node, "transA", 0):
        matrix = (weight if attr_int(node, "transB", 0) else weight.T) * np.float32(attr_float(node, "alpha", 1.0))
        yield 0, tape.op("MatMul", [gradient, constant(tape, matrix)])


def _batchnorm(tape: Tape, node: ir.Node, gradient: ir.Value, wanted: Sequence[int]) -> Parts:
    _, scale, bias, _, variance = node.inputs
    zero = const_array(bias)
    if wanted[:1] == [0] and zero is not None:
        zeros = constant(tape, np.zeros_like(zero))
        attributes = {"epsilon": attr_float(node, "epsilon", 1e-5)}
        yield 0, tape.op("BatchNormalization", [gradient, scale, zeros, zeros, variance], attributes)


WEIGHTS: dict[str, Rule] = {
    "BatchNormalization": _batchnorm,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": _matmul,
}
