"""Reals that a graph computes from shapes and constants alone: sizes, factors of a Resize, positions.

They depend on no element of any input. So they stay as exact as they are written, and the nodes that make them are no part of the
network's arithmetic, whether they compute in float or not.
"""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from qconv.model.graph import const_array, is_float
from qconv.model.traits import Trait, has_trait


def measured_reals(graph: ir.Graph) -> frozenset[ir.Value]:
    """The float32 values of the main graph that follow from shapes and constants.

    A node that takes constant reals by measured indices, or spreads them to a measured shape, has codes like any constant.
    """
    sizes, reals = set[ir.Value](), set[ir.Value]()
    for node in graph:
        given = [value for value in node.inputs if value is not None]
        follows = bool(given) and all(value in sizes or value in reals or const_array(value) is not None for value in given)
        if has_trait(node, Trait.MEASURES) or follows:
            floats = [value for value in given if is_float(value)]
            if not floats or has_trait(node, Trait.MEASURES | Trait.COUNTS) or any(value in reals for value in floats):
                for output in node.outputs:
                    (reals if is_float(output) else sizes).add(output)
    return frozenset(reals)


def only_measures(node: ir.Node, measured: Collection[ir.Value]) -> bool:
    """Whether all reals that a node reads and makes follow from shapes and constants, and some do."""
    reals = [v for v in (*node.inputs, *node.outputs) if v is not None and is_float(v) and const_array(v) is None]
    return bool(reals) and all(value in measured for value in reals)
