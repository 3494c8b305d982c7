"""What is computed by element with numbers is computed before a tensor is expanded, as a mask that each channel reads.

Cast(Expand(x, sizes))             Expand(Cast(x), sizes)
Mul(Expand(x, sizes), number)      Expand(Mul(x, number), sizes)
"""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from qconv.integer.metadata import Meaning
from qconv.model.graph import const_array, sole_consumer
from qconv.model.names import Names

_BY_ELEMENT = ("Add", "Cast", "Clip", "Div", "Max", "Min", "Mul", "Sub")


def expand_late(graph: ir.Graph, names: Names, meanings: dict[ir.Node, Meaning]) -> int:
    """Moves Expands behind steps by element, in place; the number of steps that they passed."""
    return sum(_move(graph, node, names, meanings) for node in list(graph) if node.op_type == "Expand" and not node.domain)


def _move(graph: ir.Graph, expand: ir.Node, names: Names, meanings: dict[ir.Node, Meaning]) -> int:
    passed = 0
    while (user := sole_consumer(expand.outputs[0])) is not None and _is_step(user, expand):
        expand = _swap(graph, expand, user, names, meanings)
        passed += 1
    return passed


def _is_step(user: ir.Node, expand: ir.Node) -> bool:
    """Whether a node works by element on what is expanded, and on numbers of no higher rank."""
    x, whole = expand.inputs[0], expand.outputs[0]
    if user.op_type not in _BY_ELEMENT or user.domain or x is None or x.shape is None or user.graph is not expand.graph:
        return False
    arrays = [const_array(value) for value in user.inputs if value is not None and value is not whole]
    rank = len(x.shape)
    output = user.outputs[0]
    numbers = all(array is not None and array.size == 1 and array.ndim <= rank for array in arrays)
    return numbers and not output.is_graph_output() and x.producer() is not None


def _swap(graph: ir.Graph, expand: ir.Node, user: ir.Node, names: Names, meanings: dict[ir.Node, Meaning]) -> ir.Node:
    """Puts the step in front of the Expand; returns the Expand behind it."""
    x, whole, output = expand.inputs[0], expand.outputs[0], user.outputs[0]
    assert x is not None
    late = ir.Value(name=names.fresh(f"{output.name}_expanded"), type=output.type, shape=output.shape)
    output.replace_all_uses_with(late)
    for index, value in enumerate(user.inputs):
        if value is whole:
            user.replace_input_with(index, x)
    output.shape = x.shape
    moved = ir.Node("", "Expand", [output, expand.inputs[1]], outputs=[late], name=names.fresh_node(f"{user.name}/expand"))
    graph.insert_after(user, moved)
    graph.remove(expand, safe=True)
    if user in meanings:
        meanings[moved] = replace(meanings[user], multipliers=(), certificate=None)
        meanings[user] = replace(meanings[user], tensors=(None,))
        output.name, late.name = late.name, output.name
    return moved
