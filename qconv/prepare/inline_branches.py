"""Take an If whose condition is constant for the branch that it runs."""

from __future__ import annotations

import onnx_ir as ir

from qconv.model.graph import const_array

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
    constants = list(branch.initializers.values())
    for constant in constants:
        branch.initializers.pop(str(constant.name))
        constant.name = f"{node.name}/{constant.name}"
        graph.register_initializer(constant)
    for number, inner in enumerate(tuple(branch)):
        branch.remove(inner)
        inner.name = f"{node.name}/{inner.name or number}"
        graph.insert_before(node, inner)
    for output, result in zip(node.outputs, results, strict=True):
        if output.is_graph_output():
            result = _named(graph, node, output, result)
        output.replace_all_uses_with(result, replace_graph_outputs=True)
    _let_go(node)
    graph.remove(node, safe=True)
    return 1


def _let_go(node: ir.Node) -> None:
    """The branch that does not run reads nothing any more."""
    for name in _BRANCHES:
        for inner in node.attributes[name].as_graph().all_nodes():
            for index in range(len(inner.inputs)):
                inner.replace_input_with(index, None)


def _named(graph: ir.Graph, node: ir.Node, output: ir.Value, result: ir.Value) -> ir.Value:
    """The result under the name of a graph output."""
    copy = ir.node("Identity", [result], name=f"{node.name}/result")
    graph.insert_before(node, copy)
    value = copy.outputs[0]
    value.type, value.shape, value.name = output.type, output.shape, output.name
    output.name = f"{output.name}/replaced"
    return value
