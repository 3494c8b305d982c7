"""Write operators by element with those that have an integer form.

Mean              (a + b + ...) / n               Trilu       Where(inside, x, 0)
Clip, computed    Min(Max(x, low), high)          LRN         x (k + a/n sum of squares)^-b, the sum a convolution
PRelu, computed   Max(x, 0) + slope Min(x, 0)     Hardmax     1 at the place of the largest
c^x               exp(x log c)                    OneHot      1 at the place that is named
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from qconv.model.edit import Editor
from qconv.model.formula import Steps, reduced
from qconv.model.graph import attr_float, attr_int, const_array, is_float

_MOST_CHANNELS = 1024


def compose_arithmetic(model: ir.Model) -> int:
    """Rewrite every one of them; returns their number."""
    editor, count = Editor(model.graph), 0
    for node in tuple(model.graph):
        rule = _RULES.get(node.op_type) if not node.domain else None
        if rule is not None and is_float(node.outputs[0]) and node.inputs and node.inputs[0] is not None:
            count += rule(node, node.inputs[0], Steps(editor, node))
    return count


def _mean(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    total = x
    for value in node.inputs[1:]:
        total = steps("Add", total, value)
    return steps.last("Mul", total, steps.constant(1.0 / len(node.inputs)))


def _clip(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    bounds = [*node.inputs[1:], None, None][:2]
    if all(value is None or const_array(value) is not None for value in bounds):
        return 0
    low, high = bounds
    if low is not None:
        x = steps("Max", x, low)
    return steps.last("Identity", x) if high is None else steps.last("Min", x, high)


def _prelu(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    zero, slope = steps.constant(0.0), node.inputs[1]
    low = steps("Mul", steps("Clip", x, None, zero), slope)
    return steps.last("Add", steps("Relu", x), low)


def _power(node: ir.Node, base: ir.Value, steps: Steps) -> int:
    array, exponent = const_array(base), node.inputs[1]
    if array is None or exponent is None or const_array(exponent) is not None or not is_float(exponent) or (array <= 0).any():
        return 0
    return steps.last("Exp", steps("Mul", exponent, steps.constant(np.log(array.astype(np.float64)))))


def _trilu(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    offset = const_array(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] is not None else np.zeros(())
    sizes = None if x.shape is None or len(x.shape) < 2 else x.shape[-2:]
    if offset is None or sizes is None or not all(isinstance(size, int) for size in sizes):
        return 0
    part = np.triu if attr_int(node, "upper", 1) else np.tril
    inside = part(np.ones([int(str(size)) for size in sizes]), int(offset.reshape(())))
    return steps.last("Where", steps.constant(inside > 0, np.bool_), x, steps.constant(0.0))


def _lrn(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    """The sum over neighbouring channels is a convolution with a band of ones."""
    channels, size = None if x.shape is None or len(x.shape) < 3 else x.shape[1], attr_int(node, "size", 1)
    if x.shape is None or not isinstance(channels, int) or channels > _MOST_CHANNELS:
        return 0
    alpha, beta, bias = attr_float(node, "alpha", 1e-4), attr_float(node, "beta", 0.75), attr_float(node, "bias", 1.0)
    place = np.arange(channels)
    distance = place[None, :] - place[:, None]  # of an input from an output
    band = (distance >= -((size - 1) // 2)) & (distance <= math.ceil((size - 1) / 2))
    kernel = [1] * (len(x.shape) - 2)
    weight = steps.constant((band * (alpha / size)).reshape(channels, channels, *kernel))
    power = steps("Conv", steps("Mul", x, x), weight, steps.constant(np.full(channels, bias)), shape=x.shape, kernel_shape=kernel)
    return steps.last("Mul", x, steps("Pow", power, steps.constant(-beta)))


def _hardmax(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    axis = attr_int(node, "axis", -1)
    size = None if x.shape is None else x.shape[axis]
    if x.shape is None or not isinstance(size, int):
        return 0
    axis %= len(x.shape)
    best = steps("ArgMax", x, shape=reduced(x.shape, [axis]), dtype=ir.DataType.INT64, axis=axis, keepdims=1)
    places = steps.constant(np.arange(size).reshape([-1 if i == axis else 1 for i in range(len(x.shape))]), np.int64)
    hit = steps("Equal", best, places, shape=x.shape, dtype=ir.DataType.BOOL)
    return steps.last("Cast", hit, to=int(ir.DataType.FLOAT))


def _one_hot(node: ir.Node, index: ir.Value, steps: Steps) -> int:
    """Equal(index, 0 .. depth - 1); an index below zero counts from the end."""
    depth, values = const_array(node.inputs[1]), const_array(node.inputs[2])
    if depth is None or values is None or index.shape is None or index.dtype is not ir.DataType.INT64:
        return 0
    rank, size = len(index.shape) + 1, int(depth.reshape(()))
    axis = attr_int(node, "axis", -1) % rank
    along = steps.constant([axis], np.int64)
    sizes = list(index.shape)
    deep = steps("Unsqueeze", index, along, shape=[*sizes[:axis], 1, *sizes[axis:]], dtype=ir.DataType.INT64)
    form = [-1 if i == axis else 1 for i in range(rank)]
    shape = [*sizes[:axis], size, *sizes[axis:]]
    hits = [
        steps(
            "Equal", deep, steps.constant((np.arange(size) - less).reshape(form), np.int64), shape=shape, dtype=ir.DataType.BOOL
        )
        for less in (0, size)
    ]
    hit = steps("Or", *hits, shape=shape, dtype=ir.DataType.BOOL)
    off, on = (float(value) for value in values)
    if (off, on) == (0.0, 1.0):
        return steps.last("Cast", hit, to=int(ir.DataType.FLOAT))
    real = steps("Cast", hit, shape=shape, to=int(ir.DataType.FLOAT))
    return steps.last("Add", steps("Mul", real, steps.constant(on - off)), steps.constant(off))


_RULES: dict[str, Callable[[ir.Node, ir.Value, Steps], int]] = {
    "Mean": _mean,
    "Clip": _clip,
    "PRelu": _prelu,
    "Pow": _power,
    "Trilu": _trilu,
    "LRN": _lrn,
    "Hardmax": _hardmax,
    "OneHot": _one_hot,
}
