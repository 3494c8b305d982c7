"""Join Slices in a row that cut different axes into one."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.model.edit import Editor
from qconv.model.graph import sole_consumer

from .remove_noops import slice_arguments


def merge_slices(model: ir.Model) -> int:
    """Join every Slice with the one before it if that has no other user; returns the number of nodes fewer."""
    editor = Editor(model.graph)
    return sum(_merge(editor, node) for node in tuple(model.graph) if node.op_type == "Slice" and not node.domain)


def _merge(editor: Editor, node: ir.Node) -> int:
    before = node.inputs[0].producer() if node.inputs[0] is not None else None
    if (
        before is None
        or before.op_type != "Slice"
        or before.graph is not node.graph
        or sole_consumer(before.outputs[0]) is not node
    ):
        return 0
    joined: list[list[int]] = []
    for first, second in zip(slice_arguments(before), slice_arguments(node), strict=True):
        if first is None or second is None:
            return 0
        joined.append(first + second)
    if len(set(joined[2])) != len(joined[2]):
        return 0
    names = ("starts", "ends", "axes", "steps")
    arguments = [
        editor.constant(f"{node.name}/{name}", np.array(item, np.int64)) for name, item in zip(names, joined, strict=True)
    ]
    editor.rewrite(node, "Slice", [before.inputs[0], *arguments])
    editor.remove_unread([before])
    return 1
