"""Recognise HardSwish written as a product.

    HardSwish(x) = x * max(0, min(1, x/6 + 1/2))
                 = x * HardSigmoid(x; 1/6, 1/2)
                 = x * Clip(x + 3, 0, 6) * (1/6)        with the factors in any order, and the last as Div or Mul

A product is read as a tree of Mul, and Div by a constant, whose inner values have no other user.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from qconv.model.graph import attr_float, sole_consumer

from .affine import affine_of
from .edit import Editor
from .normalize_clamps import Clamp, clamp_of

# Exporters write 1/6 with as few as five digits (0.16667).
_TOLERANCE = 1e-4


def fuse_hardswish(model: ir.Model) -> int:
    """Replace every product that is a HardSwish; returns their number."""
    editor = Editor(model.graph)
    return sum(_fuse(editor, node) for node in reversed(tuple(model.graph)))


def _fuse(editor: Editor, node: ir.Node) -> int:
    if node.graph is not editor.graph or _factors(node) is None:
        return 0
    constant, values = _product(node)
    if len(values) != 2:
        return 0
    for x, gate in (values, values[::-1]):
        scale = _gate_scale(gate, x)
        if scale is not None and math.isclose(scale * constant, 1.0, rel_tol=_TOLERANCE):
            before = [value.producer() for value in node.inputs if value is not None]
            editor.rewrite(node, "HardSwish", [x])
            _remove_dead(editor, before)
            return 1
    return 0


def _product(node: ir.Node) -> tuple[float, list[ir.Value]]:
    """The constant and the values whose product a node is, read through inner products."""
    constant, leaves = _factors(node) or (1.0, [])
    values: list[ir.Value] = []
    for leaf in leaves:
        maker = leaf.producer()
        if maker is None or sole_consumer(leaf) is None or _factors(maker) is None:
            values.append(leaf)
            continue
        inner, more = _product(maker)
        constant *= inner
        values += more
    return constant, values


def _factors(node: ir.Node) -> tuple[float, list[ir.Value]] | None:
    """The constant and the values that one node multiplies, or None if it is no product."""
    step = affine_of(node)
    if step is not None:
        plain = node.op_type in ("Mul", "Div") and step[1].axis is None and not step[1].shifts
        return (float(step[1].scale[0]), [step[0]]) if plain else None
    values = [value for value in node.inputs if value is not None]
    return (1.0, values) if node.op_type == "Mul" and not node.domain and len(values) == 2 else None


def _gate_scale(gate: ir.Value, x: ir.Value) -> float | None:
    """How many times the gate of HardSwish, max(0, min(1, x/6 + 1/2)), a value is: 1, 6, or None if it is no gate of x."""
    maker = gate.producer()
    if maker is None:
        return None
    if maker.op_type == "HardSigmoid" and maker.inputs[0] is x:
        usual = math.isclose(attr_float(maker, "alpha", 0.2), 1 / 6, rel_tol=_TOLERANCE)
        return 1.0 if usual and attr_float(maker, "beta", 0.5) == 0.5 else None
    clamp = clamp_of(maker)
    shifter = clamp[0].producer() if clamp is not None else None
    step = affine_of(shifter) if shifter is not None else None
    if clamp is None or step is None or step[0] is not x or clamp[1] != Clamp(0.0, 6.0):
        return None
    return 6.0 if step[1].axis is None and not step[1].scales and step[1].shift[0] == 3 else None


def _remove_dead(editor: Editor, nodes: list[ir.Node | None]) -> None:
    """Remove what nothing reads any more, and what only that read."""
    for node in nodes:
        if (
            node is None
            or node.graph is not editor.graph
            or any(value.uses() or value.is_graph_output() for value in node.outputs)
        ):
            continue
        before = [value.producer() for value in node.inputs if value is not None]
        editor.graph.remove(node, safe=True)
        _remove_dead(editor, before)
