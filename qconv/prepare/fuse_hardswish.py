"""Recognise HardSwish written as a product.

HardSwish(x) = x * max(0, min(1, x/6 + 1/2))
             = x * HardSigmoid(x; 1/6, 1/2)
             = x * Clip(x + 3, 0, 6) * (1/6)        with the factors in any order, and the last as Div or Mul
"""

from __future__ import annotations

import math

import onnx_ir as ir

from qconv.model.edit import Editor
from qconv.model.graph import attr_float

from .affine import affine_of
from .normalize_clamps import Clamp, clamp_of
from .product import is_rounded_within, readings, replace_by

# Exporters write 1/6 with as few as five digits (0.16667).
_TOLERANCE = 1e-4


def fuse_hardswish(model: ir.Model) -> int:
    """Replace every product that is a HardSwish; returns their number."""
    editor = Editor(model.graph)
    return sum(_fuse(editor, node) for node in reversed(tuple(model.graph)))


def _fuse(editor: Editor, node: ir.Node) -> int:
    for constant, x, gate in readings(editor, node):
        scale = _gate_scale(gate, x)
        is_hardswish = scale is not None and math.isclose(scale * constant, 1.0, rel_tol=_TOLERANCE)
        if is_hardswish and not is_rounded_within(node, x):
            replace_by(editor, node, "HardSwish", x)
            return 1
    return 0


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
