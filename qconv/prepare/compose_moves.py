"""Write operators that move elements in ways of their own with those that have an integer form.

EyeLike          a constant, where the size is known       MaxUnpool       ScatterElements into zeros
CenterCropPad    Pad and Slice                             Pad, wrap       Concat of the ends around x
NonZero          of a Cast to truth values                 Conv, bias      Add, where the bias is computed
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from qconv.model.formula import Formula, Steps, rewrite_by
from qconv.model.graph import attr_int, attr_ints, attr_str, const_array, is_float

_LARGEST_EYE = 1 << 20


def compose_moves(model: ir.Model) -> int:
    """Rewrite every one of them; returns their number."""
    return rewrite_by(_RULES, model)


def _eye_like(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    sizes = [size for size in x.shape or () if isinstance(size, int)]
    if len(sizes) != 2 or math.prod(sizes) > _LARGEST_EYE or not is_float(node.outputs[0]):
        return 0
    return steps.last("Identity", steps.constant(np.eye(sizes[0], sizes[1], k=attr_int(node, "k", 0))))


def _center_crop_pad(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    """Half of what is missing or too much on either side; an odd element is added behind, and cut off behind."""
    assert x.shape is not None
    wanted, rank = const_array(node.inputs[1]), len(x.shape)
    axes = [axis % rank for axis in attr_ints(node, "axes", range(rank))]
    sizes = [x.shape[axis] for axis in axes]
    known = [size for size in sizes if isinstance(size, int)]
    if wanted is None or len(known) < len(sizes):
        return 0
    more = [max(int(want) - size, 0) for want, size in zip(wanted, known, strict=True)]
    begins = [(max(int(want), size) - int(want)) // 2 for want, size in zip(wanted, known, strict=True)]
    if any(more):
        pads = [*(extra // 2 for extra in more), *(extra - extra // 2 for extra in more)]
        grown = list(x.shape)
        for axis, extra, size in zip(axes, more, known, strict=True):
            grown[axis] = size + extra
        x = steps("Pad", x, steps.constant(pads, np.int64), None, steps.constant(axes, np.int64), shape=ir.Shape(grown))
    ends = [begin + int(want) for begin, want in zip(begins, wanted, strict=True)]
    return steps.last("Slice", x, *(steps.constant(numbers, np.int64) for numbers in (begins, ends, axes)))


def _non_zero(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    return steps.last("NonZero", steps("Cast", x, dtype=ir.DataType.BOOL, to=int(ir.DataType.BOOL)))


def _max_unpool(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    """The indices count through the whole output, samples and channels too."""
    places, shape = node.inputs[1], node.outputs[0].shape
    sizes = [size for size in shape or () if isinstance(size, int)]
    if places is None or shape is None or not sizes or len(sizes) < len(shape) or len(node.inputs) > 2:
        return 0
    flat, zeros = steps.constant([-1], np.int64), steps.constant(np.zeros(math.prod(sizes)))
    index = steps("Reshape", places, flat, shape=[None], dtype=ir.DataType.INT64)
    updates = steps("Reshape", x, flat, shape=[None])
    whole = steps("ScatterElements", zeros, index, updates, shape=[math.prod(sizes)], axis=0)
    return steps.last("Reshape", whole, steps.constant(sizes, np.int64))


def _wrap(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    """Axis by axis: the last elements in front, the first ones behind."""
    assert x.shape is not None
    pads, rank = const_array(node.inputs[1]), len(x.shape)
    given = const_array(node.inputs[3]) if len(node.inputs) > 3 else np.arange(rank)
    if attr_str(node, "mode", "constant") != "wrap" or pads is None or given is None or (pads < 0).any():
        return 0
    axes = [int(axis) % rank for axis in given]
    for place, axis in enumerate(axes):
        before, behind, size = int(pads[place]), int(pads[place + len(axes)]), x.shape[axis]
        if isinstance(size, int) and max(before, behind) > size:
            return 0
        along = steps.constant([axis], np.int64)
        parts = [x]
        if before:
            start, end = steps.constant([-before], np.int64), steps.constant([np.iinfo(np.int64).max], np.int64)
            parts.insert(0, steps("Slice", x, start, end, along, shape=_with(x, axis, before)))
        if behind:
            start, end = steps.constant([0], np.int64), steps.constant([behind], np.int64)
            parts.append(steps("Slice", x, start, end, along, shape=_with(x, axis, behind)))
        if len(parts) > 1:
            total = size + before + behind if isinstance(size, int) else None
            x = steps("Concat", *parts, shape=_with(x, axis, total), axis=axis)
            assert x.shape is not None
    return steps.last("Identity", x)


def _with(x: ir.Value, axis: int, size: int | None) -> ir.Shape:
    assert x.shape is not None
    return ir.Shape([size if place == axis else old for place, old in enumerate(x.shape)])


def _bias_behind(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    """Bias [C] as [C, 1, 1]."""
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is None or const_array(bias) is not None or bias.shape is None or x.shape is None:
        return 0
    attributes = dict(node.attributes)
    kernel = len(x.shape) - 2
    column = steps("Reshape", bias, steps.constant([-1, *[1] * kernel], np.int64), shape=[bias.shape[0], *[1] * kernel])
    product = steps("Conv", *node.inputs[:2], shape=node.outputs[0].shape)
    maker = product.producer()
    assert maker is not None
    maker.attributes.update(attributes)
    return steps.last("Add", product, column)


_RULES: dict[str, Formula] = {
    "EyeLike": _eye_like,
    "CenterCropPad": _center_crop_pad,
    "NonZero": _non_zero,
    "MaxUnpool": _max_unpool,
    "Pad": _wrap,
    "Conv": _bias_behind,
}
