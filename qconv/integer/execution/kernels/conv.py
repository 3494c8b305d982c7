"""QLinearConv in 1, 2 and 3 dimensions: acc = sum (x - Zx)(w - Zw) + bias, then one rescaling per output channel.

Padding holds Zx, which is zero in acc. Depthwise layers are summed tap by tap, others as a matrix product of window columns. The
output is made part by part, so that neither sums nor columns of a whole layer are ever held.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from qconv.integer.execution.arrays import Array, Operands, optional, required
from qconv.integer.execution.kernels.requantize import requantize_rows
from qconv.integer.execution.kernels.sums import exact_type, largest_distance, shifted
from qconv.integer.execution.kernels.windows import Window
from qconv.integer.execution.parallel import in_threads
from qconv.integer.step import Step
from qconv.quant.fixedpoint import Multiplier

_PART_BYTES = 4 << 20  # of window columns, or of taps, that a thread holds at a time


def qlinear_conv(step: Step, inputs: Operands) -> list[Array]:
    """Codes [N, M, *O] of x [N, C, *S] and w [M, C / group, *K]."""
    x, w, bias = required(inputs, 0), required(inputs, 1), optional(inputs, 2)
    channels = w.shape[0]
    bias = np.zeros(channels, np.int64) if bias is None else bias.astype(np.int64)
    (multiplier,) = step.multipliers
    m0, n, bias = (np.broadcast_to(of.reshape(-1), channels).reshape(-1, 1) for of in (multiplier.m0, multiplier.n, bias))

    def codes(sums: Array, own: slice) -> Array:
        rows = sums.reshape(sums.shape[0], -1)
        return requantize_rows(rows, bias[own], Multiplier(m0[own], n[own]), step.result).reshape(sums.shape)

    weights = _shifted_weights(w, step.codes(1).zero_point)
    return [_convolve(step, x, step.codes(0).zero, weights, codes, step.result.zero_point.dtype)]


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
    x = required(inputs, 0)
    return [_convolve(step, x, int(x_zero_point.reshape(())), weights, lambda sums, own: sums, np.int32)]


def _shifted_weights(w: Array, zero_point: Array) -> Array:
    """w - Zw in int16; Zw is one value, or one for each output channel."""
    return np.subtract(w, zero_point.reshape((-1,) + (1,) * (w.ndim - 1)), dtype=np.int16)


@dataclass(frozen=True)
class _Part:
    """A part of the output [N, M, *O]: of one sample, some channels, and some lines along the first spatial axis."""

    sample: int
    channels: slice
    lines: slice

    @property
    def place(self) -> tuple[int, slice, slice]:
        return self.sample, self.channels, self.lines


def _convolve(
    step: Step, x: Array, x_zero_point: int, weights: Array, finish: Callable[[Array, slice], Array], dtype: DTypeLike
) -> Array:
    """A convolution of (x - Zx) with int16 `weights`: what `finish` makes of sums of some channels, and of these channels.

    The integer sums are held exactly in a float type.
    """
    groups = step.geometry.integer("group", 1)
    window = Window.of(step.geometry, weights.shape[2:], x.shape[2:])
    per_channel = np.abs(weights).sum(axis=tuple(range(1, weights.ndim)), dtype=np.int64)
    exact = exact_type(int(per_channel.max(initial=0)) * largest_distance(x.dtype, x_zero_point))
    padded = window.pad(x, x_zero_point)
    by_taps = weights.shape[1] == 1 and groups > 1
    layer = (_ByTaps if by_taps else _ByColumns)(padded, x_zero_point, weights.astype(exact), window, groups)
    made = np.empty((x.shape[0], weights.shape[0], *window.output), dtype)

    def make(part: _Part) -> None:
        made[part.place] = finish(layer.sums(part), part.channels)

    in_threads(make, layer.parts())
    return made


@dataclass(frozen=True)
class _Layer:
    """The codes of the padded input [N, C, *S] and its zero point, and weights in a float type that holds all sums."""

    padded: Array
    zero_point: int
    weights: Array
    window: Window
    groups: int

    def reals(self, codes: Array) -> Array:
        return shifted(codes, self.zero_point, self.weights.dtype)


class _ByTaps(_Layer):
    """A depthwise layer."""

    def parts(self) -> Iterator[_Part]:
        """Whole maps of some channels, each of which reads the same number of maps."""
        channels, multiple = self.weights.shape[0], self.weights.shape[0] // self.padded.shape[1]
        nbytes = self.weights.itemsize * math.prod(self.padded.shape[2:])
        count = max(1, _PART_BYTES // max(1, nbytes) // multiple) * multiple
        for sample, start in itertools.product(range(self.padded.shape[0]), range(0, channels, count)):
            yield _Part(sample, slice(start, min(start + count, channels)), slice(None))

    def sums(self, part: _Part) -> Array:
        """[m, *O] of a part."""
        multiple = self.weights.shape[0] // self.padded.shape[1]
        own, read = part.channels, slice(part.channels.start // multiple, part.channels.stop // multiple)
        reals = self.reals(self.padded[part.sample : part.sample + 1, read])
        acc = np.zeros((own.stop - own.start, *self.window.output), reals.dtype)
        by_tap = self.weights[own].reshape(len(acc), -1).T.reshape(-1, len(acc), *(1,) * len(self.window.kernel))
        for weight, position in zip(by_tap, itertools.product(*map(range, self.window.kernel)), strict=True):
            (tap,) = self.window.tap(reals, position)
            acc += (np.repeat(tap, multiple, axis=0) if multiple > 1 else tap) * weight
        return acc


class _ByColumns(_Layer):
    """Any other layer."""

    def parts(self) -> Iterator[_Part]:
        """All channels of some lines."""
        lines, *others = self.window.output
        depth = self.groups * math.prod(self.weights.shape[1:])
        count = max(1, _PART_BYTES // max(1, self.weights.itemsize * depth * math.prod(others)))
        for sample, start in itertools.product(range(self.padded.shape[0]), range(0, lines, count)):
            yield _Part(sample, slice(None), slice(start, start + count))

    def sums(self, part: _Part) -> Array:
        """[M, *o] of a part."""
        rank, channels = len(self.window.kernel), self.weights.shape[0]
        matrix = self.weights.reshape(self.groups, channels // self.groups, -1)
        (view,) = self.window.windows(self.padded[part.sample : part.sample + 1])
        view = view.reshape(self.groups, -1, *view.shape[1:])[:, :, part.lines]  # splits an axis: still a view
        # [G, C / G, *O, *K] -> [G, C / G, *K, *O]: the rows of the matrix of columns in the order of the weights.
        view = view.transpose(0, 1, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank))
        columns = self.reals(view).reshape(self.groups, matrix.shape[2], -1)
        return np.asarray(matrix @ columns).reshape(channels, *view.shape[2 + rank :])
