"""Bound the factor by which a mask of zeros and ones becomes float32's lowest number.

    softmax(x + m c) = softmax(x + m c')      m in {0, 1},  c <= c' = -1e12

What stands 1e12 below the largest of its row has no share of it, as what stands 3.4e38 below, and leaves float32 no digits of
what it is added to, so that a row that is masked as a whole stays alike. The larger factor leaves no codes.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.model.edit import Editor
from qconv.model.graph import const_array, is_float
from qconv.model.traits import Trait, has_trait

LARGEST = 1e12
_CARRIES = Trait.SUMS | Trait.CHOOSES | Trait.CASTS | Trait.FILLS | Trait.JOINS | Trait.MOVES | Trait.MULTIPLIES | Trait.NEGATES


def bound_masks(model: ir.Model) -> int:
    """Bounds constant factors of what only a Softmax reads in the end; returns their number."""
    editor = Editor(model.graph)
    return sum(_bound(editor, node) for softmax in _softmaxes(model.graph) for node in _carriers(softmax))


def _softmaxes(graph: ir.Graph) -> list[ir.Node]:
    return [node for node in graph if has_trait(node, Trait.PROBABILITIES)]


def _carriers(softmax: ir.Node) -> list[ir.Node]:
    """The nodes that a Softmax reads the elements of, and nothing else does."""
    found, pending = dict[ir.Node, None](), [softmax]
    while pending:
        for value in pending.pop().inputs:
            node = None if value is None else value.producer()
            if node is None or node in found or not has_trait(node, _CARRIES) or not is_float(node.outputs[0]):
                continue
            output = node.outputs[0]
            if not output.is_graph_output() and all(user in found or user is softmax for user in output.consumers()):
                found[node] = None
                pending.append(node)
    return list(found)


def _bound(editor: Editor, node: ir.Node) -> int:
    if not has_trait(node, Trait.MULTIPLIES):
        return 0
    for index, value in enumerate(node.inputs):
        array = const_array(value)
        if array is not None and np.isfinite(array).all() and np.abs(array).max(initial=0.0) > LARGEST:
            bounded = np.clip(array, -LARGEST, LARGEST).astype(array.dtype)
            node.replace_input_with(index, editor.constant(f"{node.name}/factor", bounded))
            return 1
    return 0
