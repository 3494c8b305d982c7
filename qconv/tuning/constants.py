"""New constants in the place of old ones."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.names import Names


def replace_constant(node: ir.Node, index: int, names: Names, array: NDArray[np.generic]) -> None:
    """Lets a node read another constant, and removes the one that nothing else reads."""
    old = node.inputs[index]
    graph = node.graph
    assert old is not None and isinstance(graph, ir.Graph)
    node.replace_input_with(index, new_constant(graph, names, str(old.name), array))
    if not old.uses() and old.name in graph.initializers:
        del graph.initializers[str(old.name)]


def new_constant(graph: ir.Graph, names: Names, wish: str, array: NDArray[np.generic]) -> ir.Value:
    """A constant of the graph, named after `wish`."""
    name = names.fresh(wish)
    tensor = ir.tensor(array, name=name)
    value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor)
    graph.register_initializer(value)
    return value
