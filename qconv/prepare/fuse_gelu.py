"""Recognise Gelu written out.

    Gelu(x) = x/2 (1 + erf(x / sqrt(2)))
            ~ x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))          approximate = "tanh"

The constants may stand anywhere in the products; x^3 may be Pow or a product, and x (1 + 0.044715 x^2) the inner sum.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from qconv.model.edit import Editor

from .affine import affine_of
from .product import is_rounded_within, readings, replace_by, scaled

# Exporters round the constants to float32, some to six digits.
_TOLERANCE = 1e-5
_CUBIC = 0.044715


def fuse_gelu(model: ir.Model) -> int:
    """Replace every product that is a Gelu; returns their number."""
    editor = Editor(model.graph)
    return sum(_fuse(editor, node) for node in reversed(tuple(model.graph)))


def _fuse(editor: Editor, node: ir.Node) -> int:
    for constant, x, gate in readings(editor, node):
        found = _gate(gate)
        if found is None or not math.isclose(found[0] * constant, 0.5, rel_tol=_TOLERANCE):
            continue
        inner = found[1].inputs[0]
        if inner is None or is_rounded_within(node, x):
            continue
        if _is_scaled(inner, x) if found[1].op_type == "Erf" else _is_cubic(inner, x):
            replace_by(editor, node, "Gelu", x, {"approximate": "none" if found[1].op_type == "Erf" else "tanh"})
            return 1
    return 0


def _gate(gate: ir.Value) -> tuple[float, ir.Node] | None:
    """s and the Erf or Tanh node of a value s (1 + f), or None."""
    scale, shift, node = 1.0, 0.0, gate.producer()
    while node is not None and (step := affine_of(node)) is not None and step[1].axis is None:
        shift += scale * float(step[1].shift[0])
        scale *= float(step[1].scale[0])
        node = step[0].producer()
    is_gate = node is not None and node.op_type in ("Erf", "Tanh") and math.isclose(scale, shift, rel_tol=_TOLERANCE)
    return (scale, node) if is_gate and node is not None else None


def _is_scaled(value: ir.Value, x: ir.Value) -> bool:
    """Whether a value is x / sqrt(2)."""
    constant, values = scaled(value)
    return values == [x] and math.isclose(constant, math.sqrt(0.5), rel_tol=_TOLERANCE)


def _is_cubic(value: ir.Value, x: ir.Value) -> bool:
    """Whether a value is sqrt(2/pi) (x + 0.044715 x^3)."""
    constant, values = scaled(value)
    if not math.isclose(constant, math.sqrt(2 / math.pi), rel_tol=_TOLERANCE):
        return False
    if len(values) == 2 and x in values:
        return _is_one_plus_square(values[0] if values[1] is x else values[1], x)
    add = values[0].producer() if len(values) == 1 else None
    if add is None or add.op_type != "Add" or x not in add.inputs:
        return False
    cube = add.inputs[1] if add.inputs[0] is x else add.inputs[0]
    return cube is not None and _is_power(cube, x, 3)


def _is_one_plus_square(value: ir.Value, x: ir.Value) -> bool:
    """Whether a value is 1 + 0.044715 x^2."""
    maker = value.producer()
    step = affine_of(maker) if maker is not None else None
    if step is None or step[1].axis is not None or step[1].scales or step[1].shift[0] != 1:
        return False
    return _is_power(step[0], x, 2)


def _is_power(value: ir.Value, x: ir.Value, exponent: int) -> bool:
    """Whether a value is 0.044715 x^exponent."""
    constant, values = scaled(value)
    if not math.isclose(constant, _CUBIC, rel_tol=_TOLERANCE * 10):
        return False
    power = values[0].producer() if len(values) == 1 else None
    if power is not None and power.op_type == "Pow" and power.inputs[0] is x:
        array = power.inputs[1].const_value if power.inputs[1] is not None else None
        return array is not None and array.size == 1 and float(array.numpy().reshape(())) == exponent
    return values == [x] * exponent
