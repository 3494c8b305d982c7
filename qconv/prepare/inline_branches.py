"""Take an If whose condition is constant for the branch that it runs."""

from __future__ import annotations

import onnx_ir as ir

from qconv.model.graph import const_array

from .subgraphs import hand_over, take_constants

_BRANCHES = ("else_branch", "then_branch")


def inline_branches(model: ir.Model) -> int:
    """Replace every one of the main graph; returns their number."""
    return sum(_inline(model.graph, node) for node in tuple(model.graph) if node.op_type == "If" and not node.domain)


def _inline(graph: ir.Graph, node: ir.Node) -> int:
    condition = const_array(node.inputs[0])
    if condition is None or condition.size != 1:
        return 0
    branch = node.attributes[_BRANCHES[int(bool(condition.reshape(())))]].as_graph()
    results = list(branch.outputs)
    branch.outputs.clear()
    take_constants(graph, node, branch)
    for number, inner in enumerate(tuple(branch)):
        branch.remove(inner)
        inner.name = f"{node.name}/{inner.name or number}"
        graph.insert_before(node, inner)
    hand_over(graph, node, results)
    return 1
