"""Reals that become places of elements, or sizes: tokens that a model takes as float32, lengths that it predicts, bins.

A code stands for the reals around it, and a place beside the right one is no approximation of it. So what makes integers of such
reals computes in float, and what leads there from the last layer, or from an input of the model.
"""

from __future__ import annotations

import onnx_ir as ir

from qconv.model.graph import const_array, is_float
from qconv.model.traits import Trait, has_trait
from qconv.ops.op_table import Role, role_of, spec_of

WHY = "what it computes becomes places or sizes, which no rounding may change; compute them outside, or accept a float island"


def decides_places(graph: ir.Graph) -> frozenset[ir.Node]:
    """The nodes of the main graph whose reals become places or sizes."""
    pending = [node for node in graph if _makes_integers(node) and any(_is_place(output) for output in node.outputs)]
    found = set[ir.Node]()
    while pending:
        node = pending.pop()
        if node in found:
            continue
        found.add(node)
        makers = (value.producer() for value in node.inputs if value is not None and is_float(value))
        pending += [m for m in makers if m is not None and m.graph is graph and not has_trait(m, Trait.WEIGHTS | Trait.RECURS)]
    return frozenset(found)


def _makes_integers(node: ir.Node) -> bool:
    """Whether a node casts computed reals to integers."""
    value = node.inputs[0] if has_trait(node, Trait.CASTS) else None
    dtype = node.outputs[0].dtype
    return value is not None and is_float(value) and const_array(value) is None and dtype is not None and dtype.is_integer()


def _is_place(value: ir.Value) -> bool:
    """Whether integers, or what is made of them, tell an operator where elements are, or how many there are to be."""
    seen, pending = set[ir.Value](), [value]
    while pending:
        value = pending.pop()
        if value in seen:
            continue
        seen.add(value)
        for user, index in value.uses():
            if user.graph is not value.graph or _takes_place(user, index):
                return True
            pending += [output for output in user.outputs if output.dtype is not None and output.dtype.is_integer()]
    return False


def _takes_place(node: ir.Node, index: int) -> bool:
    if has_trait(node, Trait.COUNTS | Trait.GROWS) and not has_trait(node, Trait.JOINS):
        return True
    return spec_of(node) is not None and role_of(node, index) is Role.STATIC
