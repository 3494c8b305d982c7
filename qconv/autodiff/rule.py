"""What the rules of all operators share.

A rule yields J^T g for those of the `wanted` inputs that it can. Shapes are read at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import onnx_ir as ir
from onnx_ir.tape import Tape

Parts = Iterable[tuple[int, ir.Value]]  # the number of an input, and the gradient that arrives there
Rule = Callable[[Tape, ir.Node, ir.Value, Sequence[int]], Parts]


def operand(node: ir.Node, index: int = 0) -> ir.Value:
    """An input that is there."""
    value = node.inputs[index]
    assert value is not None
    return value


def constant(tape: Tape, array: object, dtype: type[np.generic] = np.float32) -> ir.Value:
    """An array in the graph."""
    return tape.op("Constant", [], {"value": ir.tensor(np.asarray(array, dtype))})


def like(tape: Tape, gradient: ir.Value, value: ir.Value) -> ir.Value:
    """The same elements in the shape of `value`."""
    return tape.op("Reshape", [gradient, tape.op("Shape", [value])])


def masked(tape: Tape, gradient: ir.Value, mask: ir.Value) -> ir.Value:
    """The value where the mask is true, zero where it is false."""
    return tape.op("Where", [mask, gradient, constant(tape, 0.0)])
