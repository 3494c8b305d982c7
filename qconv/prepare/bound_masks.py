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
    return sum(_bound(editor, node) for node in _carriers(model.graph))


def _carriers(graph: ir.Graph) -> list[ir.Node]:
    """The nodes whose elements Softmaxes of any number read in the end, and nothing else does; the last comes first."""
    found = dict[ir.Node, None]()
    for node in reversed(graph):
        output = node.outputs[0]
        users = output.consumers()
        if not users or output.is_graph_output() or not has_trait(node, _CARRIES) or not is_float(output):
            continue
        if all(user in found or has_trait(user, Trait.PROBABILITIES) for user in users):
            found[node] = None
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
