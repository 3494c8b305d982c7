"""Take an If whose condition is constant for the branch that it runs, and one that chooses at run time for a Where.

    y = If(c) a : b        y = a, or y = b, for a constant c        y = Where(c, a, b) else

Both branches of a Where are computed, each of which has to be able to run whatever c is: all sizes in them are known, but for
the first axis, and their results have the same ones.
"""

from __future__ import annotations

import onnx_ir as ir

from qconv.model.edit import Editor
from qconv.model.graph import const_array

from .subgraphs import hand_over, take_constants

_BRANCHES = ("else_branch", "then_branch")


def inline_branches(model: ir.Model) -> int:
    """Replace every one of the main graph that can be; returns their number."""
    return sum(_inline(model.graph, node) for node in tuple(model.graph) if node.op_type == "If" and not node.domain)


def _inline(graph: ir.Graph, node: ir.Node) -> int:
    condition = const_array(node.inputs[0])
    if condition is None:
        return _choose(graph, node)
    if condition.size != 1:
        return 0
    hand_over(graph, node, _taken(graph, node, _BRANCHES[int(bool(condition.reshape(())))], str(node.name)))
    return 1


def _choose(graph: ir.Graph, node: ir.Node) -> int:
    """Both branches in front of the node, and a Where for each of its results."""
    branches = [node.attributes[name].as_graph() for name in _BRANCHES]
    pairs = list(zip(*(branch.outputs for branch in branches), strict=True))
    if not all(map(_runs_anyway, branches)) or not all(map(_are_alike, pairs)):
        return 0
    editor = Editor(graph)
    other, first = (_taken(graph, node, name, f"{node.name}/{name.removesuffix('_branch')}") for name in _BRANCHES)
    results = [
        editor.insert_before(
            node, "Where", [node.inputs[0], a, b], name=f"{node.name}/{number}", shape=a.shape, dtype=a.dtype or ir.DataType.FLOAT
        )
        for number, (a, b) in enumerate(zip(first, other, strict=True))
    ]
    hand_over(graph, node, results)
    return 1


def _taken(graph: ir.Graph, node: ir.Node, name: str, place: str) -> list[ir.Value]:
    """The nodes of a branch in front of the node; returns its results."""
    branch = node.attributes[name].as_graph()
    results = list(branch.outputs)
    branch.outputs.clear()
    take_constants(graph, node, branch)
    for number, inner in enumerate(tuple(branch)):
        branch.remove(inner)
        inner.name = f"{place}/{inner.name or number}"
        graph.insert_before(node, inner)
    return results


def _runs_anyway(branch: ir.Graph) -> bool:
    """Whether a branch can run where the other one is meant, as far as sizes tell."""
    plain = all(a.type != ir.AttributeType.GRAPH for inner in branch for a in inner.attributes.values())
    return plain and all(_is_known(value) for inner in branch for value in inner.outputs if value.name)


def _is_known(value: ir.Value) -> bool:
    return value.shape is not None and all(isinstance(size, int) for size in list(value.shape)[1:])


def _are_alike(pair: tuple[ir.Value, ir.Value]) -> bool:
    """Whether the results of two branches have the same type and sizes, so that one condition chooses all of them."""
    a, b = pair
    same = a.dtype == b.dtype and a.shape is not None and b.shape is not None and list(a.shape) == list(b.shape)
    return same and _is_known(a) and len(a.shape or ()) > 0
