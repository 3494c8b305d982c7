"""Recognise Softmax written out.

exp(x - m) / sum(exp(x - m))      along one axis, where m is the same for all elements along it, as their maximum is
"""

from __future__ import annotations

import onnx_ir as ir

from qconv.model.edit import Editor
from qconv.ops.forms import reduced_axes

from .norm_forms import behind_broadcast, lower_bound, total_of
from .product import remove_dead


def fuse_softmax(model: ir.Model) -> int:
    """Replace every quotient that is a Softmax; returns their number."""
    editor = Editor(model.graph)
    return sum(_fuse(editor, node) for node in tuple(model.graph))


def _fuse(editor: Editor, node: ir.Node) -> int:
    if node.graph is not editor.graph or node.op_type != "Div" or node.domain:
        return 0
    powers, total = node.inputs[0], total_of(node.inputs[1])
    maker = None if powers is None else powers.producer()
    if maker is None or maker.op_type != "Exp" or maker.domain or total is None or total.source is not powers:
        return 0
    if total.share != 1.0 or len(total.axes) != 1 or maker.inputs[0] is None:
        return 0
    old = [value.producer() for value in node.inputs if value is not None]
    editor.rewrite(node, "Softmax", [_without_maximum(maker.inputs[0], total.axes)], {"axis": total.axes[0]})
    remove_dead(editor, old)
    return 1


def _without_maximum(value: ir.Value, axes: tuple[int, ...]) -> ir.Value:
    """x where a value is x less its maximum along the axes."""
    sub = value.producer()
    if sub is None or sub.op_type != "Sub" or sub.domain or sub.inputs[0] is None:
        return value
    greatest = behind_broadcast(lower_bound(behind_broadcast(sub.inputs[1]))[1])
    maker = None if greatest is None else greatest.producer()
    same = maker is not None and maker.op_type == "ReduceMax" and maker.inputs[0] is sub.inputs[0] and reduced_axes(maker) == axes
    return sub.inputs[0] if same else value
