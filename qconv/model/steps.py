"""Inputs whose first axis holds the steps of a sequence, and not samples."""

from __future__ import annotations

import onnx_ir as ir

from qconv.model.graph import attr_int
from qconv.model.traits import TRAITS, Trait

# They give row by row of axis 0 what they are given, so that steps stay steps.
_BY_ROW = (
    Trait.SUMS | Trait.MULTIPLIES | Trait.DIVIDES | Trait.CURVES | Trait.CLAMPS | Trait.SHRINKS | Trait.SLOPES
    | Trait.STANDARDIZES | Trait.CASTS | Trait.QUANTIZES | Trait.DEQUANTIZES | Trait.RECURS
)  # fmt: skip


def inputs_of_steps(graph: ir.Graph) -> set[str]:
    """The names of graph inputs that reach a recurrent layer whose steps lie on axis 0, with nothing between that moves axes."""
    found, seen = set[str](), set[ir.Value]()
    waiting = [node.inputs[0] for node in graph if _traits(node) & Trait.RECURS and not attr_int(node, "layout", 0)]
    while waiting:
        value = waiting.pop()
        if value is None or value in seen:
            continue
        seen.add(value)
        if value.is_graph_input():
            found.add(str(value.name))
        maker = value.producer()
        if maker is not None and (_traits(maker) & _BY_ROW or _is_matrix_product(maker)):
            waiting += maker.inputs[:1] if _traits(maker) & Trait.RECURS else maker.inputs
    return found


def _traits(node: ir.Node) -> Trait:
    return TRAITS.get((node.domain, node.op_type), Trait.NONE)


def _is_matrix_product(node: ir.Node) -> bool:
    """Whether the node multiplies by a matrix; a convolution has samples on axis 0."""
    weight = node.inputs[1] if _traits(node) & Trait.WEIGHTS else None
    return weight is not None and weight.shape is not None and len(weight.shape) == 2
