"""Reshapes that do nothing are dropped, and of two in a row the first one.

Reshape(x, sizes of x)             x
Reshape(Reshape(x, a), b)          Reshape(x, b)        where b names all its sizes
"""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from qconv.integer.metadata import Meaning
from qconv.model.graph import sole_consumer
from qconv.model.names import Names
from qconv.tuning.rows import keeps_shape, takes_any_shape


def merge_reshapes(graph: ir.Graph, names: Names, meanings: dict[ir.Node, Meaning]) -> int:
    """Drops Reshapes in place; the number dropped."""
    return sum(_merge(graph, node, meanings) for node in list(graph) if node.op_type == "Reshape" and not node.domain)


def _merge(graph: ir.Graph, node: ir.Node, meanings: dict[ir.Node, Meaning]) -> int:
    x = node.inputs[0]
    maker = None if x is None else x.producer()
    if x is None or maker is None or sole_consumer(x) is not node:
        return 0
    if maker.op_type == "Reshape" and not maker.domain and takes_any_shape(node):
        node.replace_input_with(0, maker.inputs[0])
        graph.remove(maker, safe=True)
        meanings.pop(maker, None)
        return 1
    if node.outputs[0].is_graph_output() or not keeps_shape(node):
        return 0
    _drop(graph, node, x, meanings)
    return 1


def _drop(graph: ir.Graph, node: ir.Node, x: ir.Value, meanings: dict[ir.Node, Meaning]) -> None:
    """Drops a Reshape that does nothing. What makes its input x stands for its tensor, unless it stands for one itself."""
    maker, output = x.producer(), node.outputs[0]
    output.replace_all_uses_with(x)
    graph.remove(node, safe=True)
    meaning, own = meanings.pop(node, None), None if maker is None else meanings.get(maker)
    if maker is not None and own is not None and own.tensors == (None,) and meaning is not None:
        meanings[maker] = replace(own, tensors=meaning.tensors)
        x.name, output.name = output.name, x.name
