"""Products of products of products, whose factors spread over more sizes than 8 bits have: those of a ReduceProd.

A factor of few codes is off by a large part of itself, and so is all that it becomes a part of. In int32 each factor has 15 bits.
"""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from qconv.model.graph import const_array
from qconv.model.traits import Trait, has_trait
from qconv.ops.wide_forms import has_wide_form
from qconv.plan.steep import Steep

_FEWEST = 3  # products, one in another, of which 8 bits leave too little


def product_trees(nodes: Collection[ir.Node]) -> Steep:
    """The nodes of all such trees among the integer nodes, in the order of the graph."""
    depth, trees = dict[ir.Node, int](), dict[ir.Node, frozenset[ir.Node]]()
    for node in nodes:
        makers = {maker for v in node.inputs if v is not None and (maker := v.producer()) in trees}
        if _multiplies(node):
            depth[node] = 1 + max((depth[maker] for maker in makers if maker is not None), default=0)
        elif has_trait(node, Trait.MOVES) and has_wide_form(node) and makers:
            depth[node] = max(depth[maker] for maker in makers if maker is not None)
        else:
            continue
        trees[node] = frozenset({node}).union(*(trees[maker] for maker in makers if maker is not None))
    found = {n for node, tree in trees.items() if depth[node] >= _FEWEST and _multiplies(node) for n in tree}
    return Steep(frozenset(str(n.name) for n in found), frozenset(str(n.outputs[0].name) for n in found))


def _multiplies(node: ir.Node) -> bool:
    """Whether a node is the product of two computed tensors."""
    return has_trait(node, Trait.MULTIPLIES) and len(node.inputs) == 2 and all(const_array(v) is None for v in node.inputs)
