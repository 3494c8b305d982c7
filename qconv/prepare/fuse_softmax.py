"""Recognise Softmax written out, and write it along the last axis where a Transpose brings it there.

exp(x - m) / sum(exp(x - m))      along one axis, where m is the same for all elements along it, as their maximum is
transpose(softmax(x))             = softmax(transpose(x)), as in attention that sums over tokens first
"""

from __future__ import annotations

import onnx_ir as ir

from qconv.model.edit import Editor, set_attribute
from qconv.model.graph import attr_int, attr_ints, sole_consumer
from qconv.ops.forms import reduced_axes

from .norm_forms import behind_broadcast, lower_bound, total_of
from .product import is_rounded_within, remove_dead


def fuse_softmax(model: ir.Model) -> int:
    """Replace every quotient that is a Softmax, and turn those whose axis comes last behind them; returns their number."""
    editor = Editor(model.graph)
    return sum(_fuse(editor, node) for node in tuple(model.graph)) + sum(map(_to_last, tuple(model.graph)))


def _fuse(editor: Editor, node: ir.Node) -> int:
    if node.graph is not editor.graph or node.op_type != "Div" or node.domain:
        return 0
    powers, total = node.inputs[0], total_of(node.inputs[1])
    maker = None if powers is None else powers.producer()
    if maker is None or maker.op_type != "Exp" or maker.domain or total is None or total.source is not powers:
        return 0
    if total.share != 1.0 or len(total.axes) != 1 or maker.inputs[0] is None or is_rounded_within(node, maker.inputs[0]):
        return 0
    old = [value.producer() for value in node.inputs if value is not None]
    editor.rewrite(node, "Softmax", [_without_maximum(maker.inputs[0], total.axes)], {"axis": total.axes[0]})
    remove_dead(editor, old)
    return 1


def _to_last(node: ir.Node) -> int:
    """A Softmax behind the Transpose that follows it, if that makes its axis the last one."""
    after = sole_consumer(node.outputs[0]) if (node.domain, node.op_type) == ("", "Softmax") else None
    x, y = node.inputs[0] if node.inputs else None, node.outputs[0]
    if after is None or after.op_type != "Transpose" or after.domain or x is None or x.shape is None:
        return 0
    rank = len(x.shape)
    order = attr_ints(after, "perm", list(range(rank))[::-1])
    if order[-1] != attr_int(node, "axis", -1) % rank or order[-1] == rank - 1:
        return 0
    assert node.graph is not None
    node.graph.remove(after)
    node.graph.insert_before(node, after)
    turned = after.outputs[0]
    turned.replace_all_uses_with(y, replace_graph_outputs=True)
    after.replace_input_with(0, x)
    node.replace_input_with(0, turned)
    set_attribute(node, "axis", -1)
    y.shape, turned.name, y.name = turned.shape, y.name, turned.name
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
