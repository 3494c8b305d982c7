"""Write reductions of functions, and norms that are quotients, with the reductions that have an integer form.

ReduceL1          sum |x|                        LpNormalization(1)    x / sum |x|
ReduceL2          sqrt(sum x^2)                  LpPool(2)             sqrt(sum x^2)
ReduceSumSquare   sum x^2                        GlobalLpPool          as ReduceL1 and ReduceL2
ReduceLogSum      log(sum x)                     LogSoftmax            (x - m) - log(sum exp(x - m)), m the largest
ReduceLogSumExp   m + log(sum exp(x - m))        CumSum                a product with a triangle of ones
Log of a Softmax  as LogSoftmax
ReduceProd        one half times the other, until one element is left
Det, 2 x 2        a d - b c
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import onnx_ir as ir

from qconv.model.formula import Formula, Steps, reduced, rewrite_by
from qconv.model.graph import attr_int, attr_ints, attr_str, const_array, sole_consumer
from qconv.ops.forms import reduced_axes

_WINDOW = ("pads", "strides", "dilations", "kernel_shape")
_LONGEST = 2048  # of an axis that is summed up step by step
_MOST_SLICES = 25  # elements of a window that are taken one by one
_END = 2**31 - 1  # of any axis


def compose_reductions(model: ir.Model) -> int:
    """Rewrite every one of them; returns their number."""
    return rewrite_by(_RULES, model)


def _sum(steps: Steps, x: ir.Value, axes: tuple[int, ...]) -> ir.Value:
    return steps("ReduceSum", x, steps.constant(axes, np.int64), shape=reduced(x.shape, axes), keepdims=1)


def _reduction(inside: str, outside: str) -> Callable[[ir.Node, ir.Value, Steps], int]:
    """The reduction outside(sum(inside(x)))."""

    def rule(node: ir.Node, x: ir.Value, steps: Steps) -> int:
        axes = reduced_axes(node)
        if not axes:
            return 0
        inner = steps("Mul", x, x) if inside == "Mul" else steps(inside, x) if inside else x
        keep = attr_int(node, "keepdims", 1)
        along = steps.constant(axes, np.int64)
        if not outside:
            return steps.last("ReduceSum", inner, along, keepdims=keep)
        total = steps("ReduceSum", inner, along, shape=reduced(x.shape, axes, keep=bool(keep)), keepdims=keep)
        return steps.last(outside, total)

    return rule


def _log_sum_exp(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    axes = reduced_axes(node)
    if not axes:
        return 0
    along, shape = steps.constant(axes, np.int64), reduced(x.shape, axes)
    most = steps("ReduceMax", x, along, shape=shape, keepdims=1)
    powers = steps("Exp", steps("Sub", x, most))
    log = steps("Log", _sum(steps, powers, axes))
    if attr_int(node, "keepdims", 1):
        return steps.last("Add", most, log)
    return steps.last("Squeeze", steps("Add", most, log), along)


def _log_softmax(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    return _log_softmax_along(attr_int(node, "axis", -1), x, steps)


def _log_softmax_along(axis: int, x: ir.Value, steps: Steps) -> int:
    assert x.shape is not None
    axes = (axis % len(x.shape),)
    most = steps("ReduceMax", x, steps.constant(axes, np.int64), shape=reduced(x.shape, axes), keepdims=1)
    below = steps("Sub", x, most)
    return steps.last("Sub", below, steps("Log", _sum(steps, steps("Exp", below), axes)))


def _log(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    """The logarithm of a Softmax, whose small shares have no codes."""
    maker = x.producer()
    source = None if maker is None or maker.domain or maker.op_type != "Softmax" else maker.inputs[0]
    if maker is None or source is None or source.shape is None or sole_consumer(x) is not node:
        return 0
    return _log_softmax_along(attr_int(maker, "axis", -1), source, steps)


def _l1_norm(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    assert x.shape is not None
    if attr_int(node, "p", 2) != 1:
        return 0  # the other is an RMS norm
    return steps.last("Div", x, _sum(steps, steps("Abs", x), (attr_int(node, "axis", -1) % len(x.shape),)))


def _pool(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    power, kernel = attr_int(node, "p", 2), attr_ints(node, "kernel_shape", [])
    if power not in (1, 2) or not kernel or attr_str(node, "auto_pad", "NOTSET") != "NOTSET":
        return 0
    if power == 2 and math.prod(kernel) <= _MOST_SLICES and not attr_int(node, "ceil_mode", 0) and node.outputs[0].shape:
        return _pool_of_slices(node, x, kernel, steps)
    inner = steps("Mul", x, x) if power == 2 else steps("Abs", x)
    kept: dict[str, Any] = {a.name: list(a.as_ints()) for a in node.attributes.values() if a.name in _WINDOW}
    ceil = attr_int(node, "ceil_mode", 0)
    mean = steps("AveragePool", inner, shape=node.outputs[0].shape, count_include_pad=1, ceil_mode=ceil, **kept)
    total = steps("Mul", mean, steps.constant(float(math.prod(kernel))))
    return steps.last("Sqrt" if power == 2 else "Identity", total)


def _pool_of_slices(node: ir.Node, x: ir.Value, kernel: Sequence[int], steps: Steps) -> int:
    """The root of sums over a new last axis, along which stand the elements of each window: such sums need no 8 bits."""
    rank, shape = len(kernel), node.outputs[0].shape
    assert x.shape is not None and shape is not None
    strides, dilations = attr_ints(node, "strides", [1] * rank), attr_ints(node, "dilations", [1] * rank)
    pads = attr_ints(node, "pads", [0] * 2 * rank)
    if any(pads):
        sizes = [*x.shape[:2], *(_longer(x.shape[2 + i], pads[i] + pads[i + rank]) for i in range(rank))]
        x = steps("Pad", x, steps.constant([0, 0, *pads[:rank], 0, 0, *pads[rank:]], np.int64), shape=sizes)
    last, axes = steps.constant([-1], np.int64), steps.constant(range(2, 2 + rank), np.int64)
    parts = []
    for place in product(*map(range, kernel)):
        starts = [k * dilation for k, dilation in zip(place, dilations, strict=True)]
        behind = [(size - 1 - k) * dilation for size, k, dilation in zip(kernel, place, dilations, strict=True)]
        ends = [-count if count else _END for count in behind]
        bounds = [steps.constant(numbers, np.int64) for numbers in (starts, ends)]
        part = steps("Slice", x, *bounds, axes, steps.constant(strides, np.int64), shape=shape)
        parts.append(steps("Unsqueeze", part, last, shape=[*shape, 1]))
    windows = steps("Concat", *parts, shape=[*shape, len(parts)], axis=-1)
    return steps.last("Sqrt", steps("ReduceSum", steps("Mul", windows, windows), last, shape=shape, keepdims=0))


def _longer(size: int | ir.SymbolicDim, by: int) -> int | None:
    return size + by if isinstance(size, int) else None


def _global_pool(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    assert x.shape is not None
    power, axes = attr_int(node, "p", 2), tuple(range(2, len(x.shape)))
    if power not in (1, 2) or not axes:
        return 0
    inner = steps("Mul", x, x) if power == 2 else steps("Abs", x)
    return steps.last("Sqrt" if power == 2 else "Identity", _sum(steps, inner, axes))


def _cumulative(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    """CumSum: along the last axis by x T, along another after a Transpose."""
    assert x.shape is not None
    given = const_array(node.inputs[1])
    rank = len(x.shape)
    axis = int(given.reshape(())) % rank if given is not None else rank
    size = x.shape[axis] if axis < rank else None
    if not isinstance(size, int) or not 0 < size <= _LONGEST or rank < 2:
        return 0
    ones = np.triu(np.ones((size, size)), int(attr_int(node, "exclusive", 0)))
    triangle = steps.constant(ones.T if attr_int(node, "reverse", 0) else ones)
    if axis == rank - 1:
        return steps.last("MatMul", x, triangle)
    order = list(range(rank))
    order[axis], order[-1] = order[-1], order[axis]
    turned = steps("Transpose", x, shape=[x.shape[i] for i in order], perm=order)
    return steps.last("Transpose", steps("MatMul", turned, triangle, shape=turned.shape), perm=order)


def _product(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    """Axis by axis, in as many products as the size has bits."""
    assert x.shape is not None
    axes = reduced_axes(node)
    sizes = [x.shape[axis] for axis in axes or ()]
    if not sizes or not all(isinstance(size, int) and 0 < size <= _LONGEST for size in sizes):
        return 0
    for axis in axes or ():
        x = _product_along(steps, x, axis)
    if attr_int(node, "keepdims", 1):
        return steps.last("Identity", x)
    return steps.last("Squeeze", x, steps.constant(axes or (), np.int64))


def _product_along(steps: Steps, x: ir.Value, axis: int) -> ir.Value:
    """One half times the other; the last element of an odd number goes into the first product."""
    assert x.shape is not None
    size = int(str(x.shape[axis]))
    while size > 1:
        half = size // 2
        left, right = (_part(steps, x, axis, start, start + half) for start in (0, half))
        rest = _part(steps, x, axis, size - 1, size) if size % 2 else None
        x, size = steps("Mul", left, right), half
        if rest is not None:
            first, others = _part(steps, x, axis, 0, 1), _part(steps, x, axis, 1, half) if half > 1 else None
            first = steps("Mul", first, rest)
            x = first if others is None else steps("Concat", first, others, shape=_sized(x, axis, half), axis=axis)
    return x


def _part(steps: Steps, x: ir.Value, axis: int, start: int, end: int) -> ir.Value:
    bounds = [steps.constant([number], np.int64) for number in (start, end, axis)]
    return steps("Slice", x, *bounds, shape=_sized(x, axis, end - start))


def _sized(x: ir.Value, axis: int, size: int) -> ir.Shape:
    assert x.shape is not None
    return ir.Shape([size if place == axis else old for place, old in enumerate(x.shape)])


def _determinant(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    assert x.shape is not None
    if list(x.shape[-2:]) != [2, 2]:
        return 0
    rank = len(x.shape)
    rows = [_part(steps, x, rank - 2, row, row + 1) for row in (0, 1)]
    (a, b), (c, d) = [[_part(steps, row, rank - 1, column, column + 1) for column in (0, 1)] for row in rows]
    difference = steps("Sub", steps("Mul", a, d), steps("Mul", b, c))
    return steps.last("Squeeze", difference, steps.constant([rank - 2, rank - 1], np.int64))


_RULES: dict[str, Formula] = {
    "ReduceProd": _product,
    "Det": _determinant,
    "ReduceL1": _reduction("Abs", ""),
    "ReduceL2": _reduction("Mul", "Sqrt"),
    "ReduceSumSquare": _reduction("Mul", ""),
    "ReduceLogSum": _reduction("", "Log"),
    "ReduceLogSumExp": _log_sum_exp,
    "LogSoftmax": _log_softmax,
    "Log": _log,
    "LpNormalization": _l1_norm,
    "LpPool": _pool,
    "GlobalLpPool": _global_pool,
    "CumSum": _cumulative,
}
