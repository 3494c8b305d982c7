"""Which tensors of an integer model depend on the data."""

from __future__ import annotations

import onnx_ir as ir

from qconv.integer.step import Body
from qconv.model.traits import Trait


def depends_on_data(body: Body) -> set[ir.Value]:
    """The values of a program, or of a body, that the elements of an input reach; shapes and constants are not among them."""
    found = {operand.value for operand in body.inputs if not operand.value.is_initializer()}
    for step in body.steps:
        if not step.traits & Trait.MEASURES and any(operand.value in found for operand in step.reads):
            found.update(write.value for write in step.writes)
    return found
