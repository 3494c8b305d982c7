"""Write a Sum of several values as a chain of Add, from left to right."""

from __future__ import annotations

import onnx_ir as ir

from qconv.model.edit import Editor


def sum_to_add(model: ir.Model) -> int:
    """Replace every Sum of two or more values; returns their number."""
    editor = Editor(model.graph)
    return sum(_replace(editor, node) for node in tuple(model.graph) if node.op_type == "Sum" and not node.domain)


def _replace(editor: Editor, node: ir.Node) -> int:
    total, *others = node.inputs
    if not others or any(value is None or value.dtype != ir.DataType.FLOAT for value in node.inputs):
        return 0
    for index, value in enumerate(others[:-1], 1):
        total = editor.insert_before(node, "Add", [total, value], name=f"{node.name}/add_{index}")
    editor.rewrite(node, "Add", [total, others[-1]])
    return 1
