"""In which order the kernels on x86 multiply the elements of a weight.

A convolution goes through the positions of its kernel, at each through the input channels of the group; a product of matrices
goes through the rows of its weight. A depthwise convolution, one channel in and one out for each group, has a kernel that adds in
32 bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.graph import attr_int, attr_ints
from qconv.quant.saturation import KernelOrder

_WIDTH = 4  # dense convolutions like a multiple of so many input channels


def padded_channels(channels: int, rank: int, group: int) -> int:
    """The input channels that tuning gives to a convolution with a weight of `rank` axes: a third more at most."""
    added = -channels % _WIDTH
    return channels + added if rank == 4 and group == 1 and added * 3 <= channels else channels


def conv_order(shape: tuple[int, ...], group: int) -> KernelOrder | None:
    """The order of a weight [O, I / group, *kernel]; None for a depthwise one."""
    outputs, channels = shape[:2]
    if channels == 1 and outputs == group:
        return None
    rank = len(shape)
    return KernelOrder((0, *range(2, rank), 1), 1, padded_channels(channels, rank, group))


def matrix_order(shape: tuple[int, ...], *, transposed: bool = False) -> KernelOrder:
    """The order of a weight [..., K, N], or [N, K] if it is transposed."""
    rank = len(shape)
    if rank == 1:
        return KernelOrder((0,), 0, shape[0])
    axes = (0, 1) if transposed else (*range(rank - 2), rank - 1, rank - 2)
    return KernelOrder(axes, rank - 1, shape[axes[-1]])


def kernel_order(node: ir.Node, shape: tuple[int, ...]) -> KernelOrder | None:
    """The order of the weight of a float or an integer layer; None where its kernel never adds products in 16 bits."""
    if node.op_type == "ConvTranspose":
        return None  # its weight is taken apart first: `kernel_weight`
    if node.op_type in ("Conv", "QLinearConv"):
        return conv_order(shape, attr_int(node, "group", 1))
    return matrix_order(shape, transposed=bool(attr_int(node, "transB", 0)))


def kernel_weight(node: ir.Node, weight: NDArray[np.floating]) -> tuple[NDArray[np.floating], KernelOrder | None]:
    """The weight of a float layer as its kernel gets it, with the order of that."""
    if node.op_type != "ConvTranspose":
        return weight, kernel_order(node, weight.shape)
    group = attr_int(node, "group", 1)
    phases = phase_weights(weight, attr_ints(node, "strides", [1] * (weight.ndim - 2)), group)
    return phases, conv_order(phases.shape, group)


def phase_weights(weight: NDArray[np.floating], strides: Sequence[int], group: int) -> NDArray[np.floating]:
    """W [Cin, Cout / g, *K] as V [Cout s_1 s_2 .., Cin / g, *T], the phases of a channel behind one another."""
    inputs, outputs, *kernel = weight.shape
    rank, taps = len(kernel), [-(-size // stride) for size, stride in zip(kernel, strides, strict=True)]
    widths = [(0, s * t - k) for s, t, k in zip(strides, taps, kernel, strict=True)]
    padded = np.pad(weight, [(0, 0), (0, 0), *widths])
    pairs = [number for pair in zip(taps, strides, strict=True) for number in pair]
    split = np.flip(padded.reshape(group, inputs // group, outputs, *pairs), axis=tuple(range(3, 3 + 2 * rank, 2)))
    phases = split.transpose(0, 2, *range(4, 4 + 2 * rank, 2), 1, *range(3, 3 + 2 * rank, 2))
    return np.ascontiguousarray(phases).reshape(group * outputs * math.prod(strides), inputs // group, *taps)
