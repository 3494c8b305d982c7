"""Recognise norms written out: LayerNorm, RMS norm and L2 norm along any axes.

    c / sqrt(mean(c^2) + e)                    c = x - mean(x): a layer norm of x; else an RMS norm of c
    c / sqrt(mean(x^2) - mean(x)^2 + e)        the same layer norm
    x / max(sqrt(sum(x^2)), e)                 an RMS norm with e^2 / N, times 1 / sqrt(N)

The quotient may be a product with a Reciprocal, a Pow(-1/2) or the quotient of a constant, which may have a factor by element of
the row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.edit import Editor
from qconv.model.given import is_given
from qconv.model.graph import const_array, sole_consumer
from qconv.ops.forms import reduced_axes

from .affine import affine_of
from .norm_forms import Total, behind_broadcast, exponent_of, lower_bound, mean_of, square_of, total_of
from .product import remove_dead
from .write_norm import write_norm


@dataclass(frozen=True)
class Power:
    """mean(of^2) + epsilon along axes, the mean of x taken off where `mean` is known; times `gain`."""

    of: ir.Value
    axes: tuple[int, ...]
    epsilon: float
    gain: float = 1.0
    mean: bool = False


def fuse_norms(model: ir.Model) -> int:
    """Replace every quotient that is a norm; returns their number."""
    editor = Editor(model.graph)
    return sum(_fuse(editor, node) for node in tuple(model.graph))


def _fuse(editor: Editor, node: ir.Node) -> int:
    if node.graph is not editor.graph or node.domain or node.op_type not in ("Div", "Mul") or len(node.inputs) != 2:
        return 0
    pairs = [(0, 1)] if node.op_type == "Div" else [(0, 1), (1, 0)]
    for top, bottom in pairs:
        c, factor, divisor = node.inputs[top], None, node.inputs[bottom]
        if node.op_type == "Mul":
            factor, divisor = _inverse(divisor)
        power = _power(divisor)
        if c is None or c.shape is None or power is None:
            continue
        x = _centered(c, power)
        if x is None or (factor is not None and factor.size not in (1, math.prod(_sizes(c, power.axes)))):
            continue
        gain = np.full(1, power.gain) if factor is None else factor.astype(np.float64) * power.gain
        old = [value.producer() for value in node.inputs if value is not None]
        if write_norm(editor, node, x, power.axes, epsilon=power.epsilon, centered=x is not c or power.mean, factor=gain):
            remove_dead(editor, old)
            return 1
    return 0


def _sizes(value: ir.Value, axes: tuple[int, ...]) -> list[int]:
    assert value.shape is not None
    return [size if isinstance(size := value.shape[axis], int) else 0 for axis in axes]


def _inverse(value: ir.Value | None) -> tuple[NDArray[np.floating] | None, ir.Value | None]:
    """The factor f and the divisor d of a value f / d."""
    value = behind_broadcast(value)
    maker = None if value is None else value.producer()
    if maker is not None and maker.op_type == "Mul" and not maker.domain:
        for index in (0, 1):
            array = const_array(maker.inputs[index])
            array = const_array(behind_broadcast(maker.inputs[index])) if array is None else array
            if array is not None:
                inner = _inverse(maker.inputs[1 - index])
                return (array, inner[1]) if inner[0] is None else (None, None)
    if maker is None or maker.domain:
        return None, None
    if maker.op_type == "Div":
        array = const_array(maker.inputs[0])
        return (None, None) if array is None else (array, maker.inputs[1])
    if maker.op_type == "Reciprocal":
        return None, maker.inputs[0]
    return (None, value) if maker.op_type == "Pow" and exponent_of(maker) == -0.5 else (None, None)


def _power(divisor: ir.Value | None) -> Power | None:
    """What the root is taken of, where a divisor is such a root."""
    least, value = lower_bound(behind_broadcast(divisor))
    value = behind_broadcast(value)
    maker = None if value is None else value.producer()
    if maker is None or maker.domain:
        return None
    if maker.op_type == "ReduceL2" and maker.inputs[0] is not None:
        axes = reduced_axes(maker)
        return None if not axes else _length(Total(maker.inputs[0], axes, 1.0), least**2)
    is_root = maker.op_type == "Sqrt" or (maker.op_type == "Pow" and exponent_of(maker) in (0.5, -0.5))
    if not is_root:
        return None
    value, epsilon = behind_broadcast(maker.inputs[0]), 0.0
    maker = None if value is None else value.producer()
    step = None if maker is None else affine_of(maker)
    if step is not None and step[1].axis is None and not step[1].scales and step[1].shift[0] > 0:
        value, epsilon = behind_broadcast(step[0]), float(step[1].shift[0])
    value = behind_broadcast(lower_bound(value)[1])
    return _mean_square(value, epsilon, least) or _difference(value, epsilon)


def _mean_square(value: ir.Value | None, epsilon: float, least: float) -> Power | None:
    total = total_of(value)
    of = None if total is None else square_of(total.source)
    if total is None or of is None or not total.axes:
        return None
    if total.is_mean:
        return Power(of, total.axes, max(epsilon, least**2))
    return _length(Total(of, total.axes, total.share), max(epsilon, least**2)) if total.share == 1.0 else None


def _length(total: Total, epsilon: float) -> Power | None:
    """The norm by its length: sqrt(sum(x^2)) = sqrt(N) sqrt(mean(x^2))."""
    if not total.size:
        return None
    return Power(total.source, total.axes, epsilon / total.size, 1 / math.sqrt(total.size))


def _difference(value: ir.Value | None, epsilon: float) -> Power | None:
    """The variance as the difference mean(x^2) - mean(x)^2."""
    maker = None if value is None else value.producer()
    if maker is None or maker.op_type != "Sub" or maker.domain:
        return None
    squares, square = mean_of(maker.inputs[0]), square_of(behind_broadcast(maker.inputs[1]))
    mean = mean_of(square)
    of = None if squares is None else square_of(squares.source)
    if squares is None or mean is None or of is None or behind_broadcast(of) is not behind_broadcast(mean.source):
        return None
    return Power(of, squares.axes, epsilon, mean=True) if squares.axes == mean.axes else None


def _centered(c: ir.Value, power: Power) -> ir.Value | None:
    """x where c = x - mean(x) stands above the root of its power, c where no mean is taken off; None where the two do not fit."""
    maker = c.producer()
    if maker is not None and maker.op_type == "Sub" and not maker.domain:
        x, mean = maker.inputs[0], mean_of(maker.inputs[1])
        of = behind_broadcast(x)
        if x is not None and mean is not None and mean.axes == power.axes and behind_broadcast(mean.source) is of:
            return x if power.of is c or (power.mean and behind_broadcast(power.of) is of) else None
    return c if power.of is c and not power.mean else None


def join_affine_to_norms(model: ir.Model) -> int:
    """Let norms take products with and sums of vectors along their rows that stand behind them; returns their number."""
    editor, count = Editor(model.graph), 0
    for node in tuple(model.graph):
        while node.graph is editor.graph and node.op_type in ("LayerNormalization", "SimplifiedLayerNormalization"):
            if not _join(editor, node):
                break
            count += 1
    return count


def _join(editor: Editor, node: ir.Node) -> bool:
    output = node.outputs[0]
    user, shape = None if is_given(output) else sole_consumer(output), output.shape
    step = affine_of(user) if user is not None and user.graph is editor.graph else None
    scale, shift = const_array(node.inputs[1]), const_array(node.inputs[2]) if len(node.inputs) > 2 else None
    if user is None or step is None or shape is None or scale is None or (len(node.inputs) > 2 and shift is None):
        return False
    if step[0] is not output or step[1].axis not in (None, len(shape) - 1) or user.op_type == "BatchNormalization":
        return False
    if step[1].shifts and node.op_type == "SimplifiedLayerNormalization":
        return False
    editor.set_constant(node, 1, (scale * step[1].scale).astype(np.float32), "scale")
    if step[1].shifts or shift is not None:
        moved = step[1].scale * (0.0 if shift is None else shift) + step[1].shift
        editor.set_constant(node, 2, np.broadcast_to(moved, scale.shape).astype(np.float32), "shift")
    editor.bypass(user.outputs[0], output)
    return True
