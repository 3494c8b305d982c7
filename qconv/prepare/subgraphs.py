"""What a graph takes over from the subgraphs of a node that is written out in it."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir


def take_constants(graph: ir.Graph, node: ir.Node, inside: ir.Graph) -> None:
    """Makes the constants of a subgraph those of the graph around it."""
    for constant in tuple(inside.initializers.values()):
        inside.initializers.pop(str(constant.name))
        constant.name = f"{node.name}/{constant.name}"
        graph.register_initializer(constant)


def hand_over(graph: ir.Graph, node: ir.Node, results: Sequence[ir.Value]) -> None:
    """Lets all readers of a node read the results that it had; the node goes, and its subgraphs read nothing any more."""
    for output, result in zip(node.outputs, results, strict=True):
        if output.is_graph_output():
            result = _named(graph, node, output, result)
        output.replace_all_uses_with(result, replace_graph_outputs=True)
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            _let_go(attribute.as_graph())
    graph.remove(node, safe=True)


def _let_go(inside: ir.Graph) -> None:
    for inner in inside.all_nodes():
        for index in range(len(inner.inputs)):
            inner.replace_input_with(index, None)


def _named(graph: ir.Graph, node: ir.Node, output: ir.Value, result: ir.Value) -> ir.Value:
    """The result under the name of a graph output."""
    copy = ir.node("Identity", [result], name=f"{node.name}/{output.name}")
    graph.insert_before(node, copy)
    value = copy.outputs[0]
    value.type, value.shape, value.name = output.type, output.shape, output.name
    output.name = f"{output.name}/replaced"
    return value
