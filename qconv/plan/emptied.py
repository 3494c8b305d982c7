"""Nodes whose tensors have no elements in some samples, as where a detector finds nothing.

onnxruntime's QLinearAdd and QLinearMul divide by the length of the last axis, which ends the process where that is 0, and
layers refuse such inputs. What only moves elements has none to move.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import onnx_ir as ir

from qconv.model.traits import Trait, has_trait
from qconv.plan.steep import Steep

_HARMLESS = Trait.MOVES | Trait.JOINS

SeenIn = Callable[[str], int | None]


def emptied(nodes: Collection[ir.Node], seen_in: SeenIn, samples: int) -> Steep:
    """Leaves in float what computes with such tensors. `seen_in` tells in how many of all `samples` a tensor has elements."""
    found = dict[str, str]()
    for node in nodes:
        if has_trait(node, _HARMLESS):
            continue
        for value in (*node.inputs, *node.outputs):
            seen = None if value is None else seen_in(str(value.name))
            if value is not None and seen is not None and seen < samples:
                found[str(node.name)] = (
                    f"{value.name} has no elements in {samples - seen} of {samples} samples, which integer kernels do not bear"
                )
    return Steep(in_float=found)
