"""Write a mask of -inf as float32's lowest number where only a maximum is taken of it, and one of +inf before a minimum.

    max(x, -inf) = max(x, lowest)      for every x that is a float32

So what is chosen, filled in or joined on the way to ReduceMax, MaxPool, ArgMax or TopK stays finite, and has a range. A row that
is masked as a whole gives the lowest number instead of -inf.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx_ir as ir

from qconv.model.edit import Editor
from qconv.model.graph import attr_int, const_array, is_float
from qconv.model.traits import Trait, has_trait

_CARRIES = Trait.CHOOSES | Trait.FILLS | Trait.JOINS | Trait.MOVES
_MAXIMA = frozenset({"ArgMax", "GlobalMaxPool", "MaxPool", "ReduceMax"})
_MINIMA = frozenset({"ArgMin", "ReduceMin"})


def finite_masks(model: ir.Model) -> int:
    """Replaces infinities in the constants that lead to maxima and minima; returns the number of constants."""
    editor = Editor(model.graph)
    return _bound(editor, model.graph, _MAXIMA, 1) + _bound(editor, model.graph, _MINIMA, 0)


def _bound(editor: Editor, graph: ir.Graph, ops: Collection[str], largest: int) -> int:
    infinity, bound = (-np.inf, float(np.finfo(np.float32).min)) if largest else (np.inf, float(np.finfo(np.float32).max))
    leading, count = set[ir.Node](), 0
    for node in reversed(graph):
        if node.domain:
            continue
        if node.op_type in ops or (node.op_type == "TopK" and attr_int(node, "largest", 1) == largest):
            leading.add(node)
        elif has_trait(node, _CARRIES) and _only_read_by(node, leading):
            leading.add(node)
            count += _replace(editor, node, infinity, bound)
    return count


def _only_read_by(node: ir.Node, leading: Collection[ir.Node]) -> bool:
    output = node.outputs[0]
    readers = [user for value in node.outputs for user in value.consumers() if not has_trait(user, Trait.MEASURES)]
    return is_float(output) and not any(value.is_graph_output() for value in node.outputs) and all(u in leading for u in readers)


def _replace(editor: Editor, node: ir.Node, infinity: float, bound: float) -> int:
    count = 0
    for index, value in enumerate(node.inputs):
        array = const_array(value)
        if array is not None and array.dtype == np.float32 and (array == infinity).any():
            finite = np.where(array == infinity, np.float32(bound), array)
            node.replace_input_with(index, editor.constant(f"{node.name}/mask", finite))
            count += 1
    return count
