"""What the executor has to do for a tensor, in a unit that does not depend on the machine."""

from __future__ import annotations

import math
from collections.abc import Mapping

import onnx_ir as ir

MULTIPLY_ADDS = 256  # weigh as much as one element that is rounded, clamped and compared; measured on networks of both kinds

Shapes = Mapping[ir.Value, tuple[int, ...]]


def work(value: ir.Value, shapes: Shapes) -> int:
    """The elements of a tensor, and an element more for every 256 multiply-adds; `shapes` has the tensors made before it."""
    elements = math.prod(shapes[value])
    return elements + elements * _summed(value.producer(), shapes) // MULTIPLY_ADDS


def _summed(node: ir.Node | None, shapes: Shapes) -> int:
    """The products in one accumulator."""
    if node is None:
        return 0
    match node.op_type:
        case "QLinearConv" | "ConvInteger":
            return math.prod(_shape(node.inputs[3 if node.op_type == "QLinearConv" else 1], shapes)[1:])
        case "QGemm" | "QLinearMatMul" | "MatMulInteger" | "MatMulInteger16":
            return math.prod(_shape(node.inputs[0], shapes)[-1:])
        case _:
            return 0


def _shape(value: ir.Value | None, shapes: Shapes) -> tuple[int, ...]:
    assert value is not None
    if value in shapes:
        return shapes[value]
    return tuple(value.shape.numpy()) if value.shape is not None and value.shape.is_static() else ()
