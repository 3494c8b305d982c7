"""What the executor has to do for a tensor, in a unit that does not depend on the machine."""

from __future__ import annotations

import math
from collections.abc import Mapping

import onnx_ir as ir

from qconv.integer.language.operands import CONVOLUTIONS, MATRIX_PRODUCTS
from qconv.integer.step import Operand, Step

MULTIPLY_ADDS = 256  # weigh as much as one element that is rounded, clamped and compared; measured on networks of both kinds

Shapes = Mapping[ir.Value, tuple[int, ...]]


def work(made: Operand, step: Step | None, shapes: Shapes) -> int:
    """The elements of a tensor that `step` makes, if one does, and an element more for every 256 multiply-adds.

    `shapes` has the tensors that are made before it, and its own.
    """
    elements = math.prod(shapes[made.value])
    return elements + elements * _summed(step, shapes) // MULTIPLY_ADDS


def _summed(step: Step | None, shapes: Shapes) -> int:
    """The products in one accumulator."""
    if step is not None and step.op in CONVOLUTIONS:
        return math.prod(_shape(step, 1, shapes)[1:])
    if step is not None and step.op in MATRIX_PRODUCTS:
        return math.prod(_shape(step, 0, shapes)[-1:])
    return 0


def _shape(step: Step, index: int, shapes: Shapes) -> tuple[int, ...]:
    value = step.operand(index).value
    if value in shapes:
        return shapes[value]
    return tuple(value.shape.numpy()) if value.shape is not None and value.shape.is_static() else ()
