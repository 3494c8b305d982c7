"""Which tensors of an integer model depend on the data."""

from __future__ import annotations

import onnx_ir as ir

from qconv.model.traits import Trait, has_trait


def depends_on_data(graph: ir.Graph) -> set[ir.Value]:
    """The values that the elements of an input reach; shapes and constants are not among them."""
    found = {value for value in graph.inputs if not value.is_initializer()}
    for node in graph:
        if not has_trait(node, Trait.MEASURES) and any(value in found for value in node.inputs if value is not None):
            found.update(node.outputs)
    return found
