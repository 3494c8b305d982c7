"""Which tensors of an integer model depend on the data."""

from __future__ import annotations

import onnx_ir as ir

from qconv.integer.program import Program
from qconv.model.traits import Trait


def depends_on_data(program: Program) -> set[ir.Value]:
    """The values that the elements of an input reach; shapes and constants are not among them."""
    found = {operand.value for operand in program.inputs if not operand.value.is_initializer()}
    for step in program.steps:
        if not step.traits & Trait.MEASURES and any(operand.value in found for operand in step.reads):
            found.update(write.value for write in step.writes)
    return found
