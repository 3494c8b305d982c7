"""Which ops have a form in wide integers on the way to a steep function, and what that form has to know.

lower/steep.py, lower/planes.py and lower/wide.py compute them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.graph import attr_int, attr_ints, attr_str, const_array
from qconv.model.traits import Trait, has_trait
from qconv.ops.forms import by_phases, is_convolution, reduced_size

_MOST_WINDOWS = 1 << 20  # elements in all windows of a convolution, for each sample


def has_wide_form(node: ir.Node) -> bool:
    """Whether a node of the table can compute wide integers from wide integers or codes."""
    constants = [const_array(value) for value in node.inputs]
    if has_trait(node, Trait.SUMS):
        return len(node.inputs) == 2
    if has_trait(node, Trait.MULTIPLIES | Trait.CLAMPS):
        return True
    if node.op_type == "Pow":
        return constants[1] is not None and constants[1].size == 1 and float(constants[1].reshape(())) == 2.0
    if has_trait(node, Trait.TOTALS | Trait.AVERAGES):
        return node.op_type != "AveragePool" and reduced_size(node) is not None
    if is_convolution(node):
        return _has_few_windows(node)
    if has_trait(node, Trait.WEIGHTS) and not by_phases(node):
        return any(array is not None and array.ndim == 2 for array in constants[:2])
    return has_trait(node, Trait.MOVES) and len(node.outputs) == 1


def _has_few_windows(node: ir.Node) -> bool:
    """Whether all windows of a convolution are known, and together not much more than a tensor."""
    x, y, weight = node.inputs[0], node.outputs[0], const_array(node.inputs[1])
    if x is None or x.shape is None or y.shape is None or weight is None or attr_int(node, "group", 1) != 1:
        return False
    sizes = [*x.shape[1:], *y.shape[2:]]
    known = [size for size in sizes if isinstance(size, int)]
    places = math.prod(size for size in y.shape[2:] if isinstance(size, int)) * weight[0].size
    explicit = attr_str(node, "auto_pad", "NOTSET") == "NOTSET"
    return len(known) == len(sizes) and explicit and places <= _MOST_WINDOWS


def window_places(node: ir.Node, sizes: Sequence[int]) -> tuple[list[int], NDArray[np.int64]]:
    """The pads of a convolution over axes of these sizes, and which padded elements each window has: [positions, taps]."""
    shape = node.inputs[1].shape if node.inputs[1] is not None else None
    assert shape is not None
    kernel, rank = [int(str(size)) for size in shape[2:]], len(sizes)
    pads, strides = attr_ints(node, "pads", [0] * 2 * rank), attr_ints(node, "strides", [1] * rank)
    dilations = attr_ints(node, "dilations", [1] * rank)
    padded = [size + pads[axis] + pads[axis + rank] for axis, size in enumerate(sizes)]
    places = np.zeros((1, 1), np.int64)
    for axis, size in enumerate(padded):
        starts = np.arange(0, size - dilations[axis] * (kernel[axis] - 1), strides[axis])
        along = starts[:, None] + dilations[axis] * np.arange(kernel[axis])
        joined = places[:, None, :, None] * size + along[None, :, None, :]
        places = joined.reshape(len(places) * len(starts), -1)
    return pads, places
