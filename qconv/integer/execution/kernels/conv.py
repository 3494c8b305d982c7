"""QLinearConv in 1, 2 and 3 dimensions: acc = sum (x - Zx)(w - Zw) + bias, then one rescaling per output channel.

Padding holds Zx, which is zero in acc. Depthwise layers are summed tap by tap, others as a matrix product of window columns.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from qconv.integer.execution.arrays import Array, Operands, optional, required
from qconv.integer.execution.kernels.requantize import requantize_rows
from qconv.integer.execution.kernels.sums import exact_type, largest_distance, shifted
from qconv.integer.execution.kernels.windows import Window
from qconv.integer.step import Step
from qconv.quant.fixedpoint import Multiplier

_COLUMN_BYTES = 8 << 20  # of window columns at a time


def qlinear_conv(step: Step, inputs: Operands) -> list[Array]:
    """Codes [N, M, *O] of x [N, C, *S] and w [M, C / group, *K]."""
    x, w, bias = required(inputs, 0), required(inputs, 1), optional(inputs, 2)
    weights = _shifted_weights(w, step.codes(1).zero_point)
    acc = convolve(step, x, step.codes(0).zero, weights)
    batch, channels = x.shape[0], w.shape[0]
    bias = np.zeros(channels, np.int64) if bias is None else bias.astype(np.int64)
    (multiplier,) = step.multipliers
    rows = Multiplier(_per_row(multiplier.m0, channels, batch), _per_row(multiplier.n, channels, batch))
    codes = requantize_rows(acc.reshape(batch * channels, -1), _per_row(bias, channels, batch), rows, step.result)
    return [codes.reshape(acc.shape)]


def conv_of_channels_last(step: Step, inputs: Operands) -> list[Array]:
    """Codes [N, *O, M] of x [N, *S, C]."""
    x = required(inputs, 0)
    (codes,) = qlinear_conv(step, [np.moveaxis(x, -1, 1), *inputs[1:]])
    return [np.moveaxis(codes, 1, -1)]


def conv_integer(step: Step, inputs: Operands) -> list[Array]:
    """The sums [N, M, *O] themselves, in int32; zero points are 0 where they are left out."""
    zero_points = [optional(inputs, index) for index in (2, 3)]
    x_zero_point, w_zero_point = (np.zeros((), np.int16) if z is None else z for z in zero_points)
    weights = _shifted_weights(required(inputs, 1), w_zero_point)
    return [convolve(step, required(inputs, 0), int(x_zero_point.reshape(())), weights).astype(np.int32)]


def _shifted_weights(w: Array, zero_point: Array) -> Array:
    """w - Zw in int16; Zw is one value, or one for each output channel."""
    return np.subtract(w, zero_point.reshape((-1,) + (1,) * (w.ndim - 1)), dtype=np.int16)


def convolve(step: Step, x: Array, x_zero_point: int, weights: Array) -> Array:
    """The integer sums [N, M, *O] of a convolution of (x - Zx) with int16 `weights`, held exactly in a float type."""
    groups = step.geometry.integer("group", 1)
    window = Window.of(step.geometry, weights.shape[2:], x.shape[2:])
    per_channel = np.abs(weights).sum(axis=tuple(range(1, weights.ndim)), dtype=np.int64)
    dtype = exact_type(int(per_channel.max(initial=0)) * largest_distance(x.dtype, x_zero_point))
    padded = shifted(window.pad(x, x_zero_point), x_zero_point, dtype)  # codes take less room to pad than floats
    if weights.shape[1] == 1 and groups > 1:
        return _depthwise(padded, weights.astype(dtype), window)
    return _grouped(padded, weights.astype(dtype), window, groups)


def _depthwise(padded: Array, weights: Array, window: Window) -> Array:
    channels = weights.shape[0]
    multiple = channels // padded.shape[1]
    acc = np.zeros((padded.shape[0], channels, *window.output), padded.dtype)
    by_tap = weights.reshape(channels, -1).T.reshape(-1, channels, *(1,) * len(window.kernel))
    for weight, position in zip(by_tap, itertools.product(*map(range, window.kernel)), strict=True):
        tap = window.tap(padded, position)
        acc += (np.repeat(tap, multiple, axis=1) if multiple > 1 else tap) * weight
    return acc


def _grouped(padded: Array, weights: Array, window: Window, groups: int) -> Array:
    batch, channels, rank = padded.shape[0], weights.shape[0], len(window.kernel)
    matrix = weights.reshape(groups, channels // groups, -1)
    acc = np.empty((batch, groups, channels // groups, *window.output), padded.dtype)
    views = window.windows(padded)
    views = views.reshape(batch, groups, -1, *views.shape[2:])  # splits an axis: still a view
    # [G, C / G, *O, *K] -> [G, C / G, *K, *O]: the rows of the matrix of columns in the order of the weights.
    order = (0, 1, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank))
    depth = groups * matrix.shape[2]
    row_bytes = depth * math.prod(window.output[1:]) * padded.itemsize
    step = max(1, _COLUMN_BYTES // max(1, row_bytes))
    for sample, start in itertools.product(range(batch), range(0, window.output[0], step)):
        block = views[sample][:, :, start : start + step].transpose(order)
        columns = block.reshape(groups, matrix.shape[2], -1)
        sums = matrix @ columns
        acc[sample, :, :, start : start + step] = sums.reshape(groups, -1, block.shape[2 + rank], *window.output[1:])
    return acc.reshape(batch, channels, *window.output)


def _per_row(values: Array, channels: int, batch: int) -> Array:
    """`values` (() or [M]) as a column [batch * M, 1]."""
    return np.tile(np.broadcast_to(values.reshape(-1), channels), batch).reshape(-1, 1)
