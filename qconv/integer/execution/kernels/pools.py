"""Pools: MaxPool, QLinearAveragePool, QLinearGlobalAveragePool. Windows are folded one axis after another."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from qconv.integer.execution.arrays import Array, Operands, required
from qconv.integer.execution.kernels.requantize import requantize_rows
from qconv.integer.execution.kernels.windows import Window
from qconv.integer.language.multipliers import mean, ratio
from qconv.integer.step import Step
from qconv.quant.fixedpoint import Int64Array, Multiplier


def max_pool(step: Step, inputs: Operands) -> list[Array]:
    """The largest code of each window of x [N, C, *S], and its place in x, if that is asked for; padding never wins."""
    x = required(inputs, 0)
    window = Window.of(step.geometry, step.geometry.integers("kernel_shape"), x.shape[2:], pool=True)
    largest = fold(window, x, np.maximum, int(np.iinfo(x.dtype).min))
    return [largest] if len(step.writes) == 1 else [largest, _places(step, window, x)]


def _places(step: Step, window: Window, x: Array) -> Array:
    """The index in all of x of the first of the largest codes of each window, the last axis running fastest unless told."""
    count, columns = np.arange(math.prod(x.shape[2:])), step.geometry.integer("storage_order", 0)
    within = count.reshape(x.shape[:1:-1]).T if columns else count.reshape(x.shape[2:])
    lowest = int(np.iinfo(x.dtype).min) - 1
    values = window.windows(window.pad(x.astype(np.int64), lowest))
    rank = len(window.kernel)
    flat = values.reshape(*values.shape[: 2 + rank], -1).argmax(axis=-1)
    numbers = window.windows(window.pad(within[None, None], 0)).reshape(1, 1, *window.output, -1)
    found = np.take_along_axis(np.broadcast_to(numbers, (*flat.shape, numbers.shape[-1])), flat[..., None], -1)[..., 0]
    maps = np.arange(math.prod(x.shape[:2])).reshape(*x.shape[:2], *(1,) * rank)
    return np.asarray(found + maps * math.prod(x.shape[2:]), np.int64)


def qlinear_average_pool(step: Step, inputs: Operands) -> list[Array]:
    """clamp(round(Zy + sum (x - Zx) M / count)); the count leaves out padding unless told otherwise.

    onnxruntime sums S_x (x - Zx) in float32, which is exact for S_x = S_y = 1; the language asks for these. Other scales are
    computed by the same formula, and may differ from onnxruntime next to ties.
    """
    x = required(inputs, 0)
    channels_last = bool(step.geometry.integer("channels_last", 0))
    x = np.moveaxis(x, -1, 1) if channels_last else x
    kernel = step.geometry.integers("kernel_shape")
    window = Window.of(step.geometry, kernel, x.shape[2:], pool=True)
    sums = fold(window, x.astype(np.int64) - step.codes(0).zero, np.add, 0)
    if step.geometry.integer("count_include_pad", 0):
        counts = np.array(math.prod(kernel), np.int64)
    else:
        counts = fold(window, np.ones((1, 1, *x.shape[2:]), np.int64), np.add, 0)
    multiplier = ratio(step.codes(0).scale, step.result.scale)
    limits = np.iinfo(x.dtype)
    codes = np.clip(scaled_mean(sums, counts, multiplier, step.result.zero), limits.min, limits.max).astype(x.dtype)
    return [np.moveaxis(codes, 1, -1) if channels_last else codes]


def qlinear_global_average_pool(step: Step, inputs: Operands) -> list[Array]:
    """The mean over all spatial axes: one rescaling of the sum, by a multiplier that holds 1 / count."""
    x = required(inputs, 0)
    channels_last = bool(step.geometry.integer("channels_last", 0))
    axes = tuple(range(1, x.ndim - 1) if channels_last else range(2, x.ndim))
    count = math.prod(x.shape[axis] for axis in axes)
    sums = x.sum(axis=axes, keepdims=True, dtype=np.int64) - count * step.codes(0).zero
    codes = requantize_rows(sums.reshape(1, -1), np.zeros((), np.int64), multiplier_of_mean(step, count), step.result)
    return [codes.reshape(sums.shape)]


def multiplier_of_mean(step: Step, count: int) -> Multiplier:
    """The multiplier of a mean of `count` codes; a map whose size the graph does not tell has it from the run."""
    (found,) = step.multipliers or (mean(step.codes(0).scale, step.result.scale, count),)
    return found


def fold(window: Window, x: Array, combine: Callable[..., Array], neutral: int) -> Array:
    """`combine` (a commutative ufunc with the element `neutral`) over each window of x: [N, C, *S] -> [N, C, *output]."""
    x = window.pad(x, neutral)
    for i, (kernel, stride, dilation, count) in enumerate(
        zip(window.kernel, window.strides, window.dilations, window.output, strict=True)
    ):
        lead = (slice(None),) * (2 + i)
        starts = range(0, kernel * dilation, dilation)
        taps = [x[(*lead, slice(s, s + (count - 1) * stride + 1, stride))] for s in starts]
        x = taps[0].copy()
        for tap in taps[1:]:
            combine(x, tap, out=x)
    return x


def scaled_mean(sums: Int64Array, counts: Int64Array, multiplier: Multiplier, zero_point: int) -> Int64Array:
    """round(Z + sums M / counts). Raises ValueError where the exact fraction does not fit in int64."""
    mantissa, shift = int(multiplier.m0) >> 7, 24 + int(multiplier.n)  # M = mantissa * 2^-shift: m0 of a float32 ends in 7 zeros
    largest = 8 + int(counts.max(initial=1)).bit_length()  # bits of sums, and of Z * counts
    if shift < 0 or largest + max(24, shift) > 60:
        raise ValueError(f"the ratio of scales {float(multiplier.real)} is out of range")
    denominator = counts << shift
    return divide_half_even(sums * mantissa + zero_point * denominator, denominator)


def divide_half_even(numerator: Int64Array, denominator: Int64Array) -> Int64Array:
    """round(numerator / denominator), ties to even; denominators are positive."""
    floor = numerator // denominator
    twice_rest = 2 * (numerator - floor * denominator)
    up = (twice_rest > denominator) | ((twice_rest == denominator) & (floor & 1 == 1))
    return np.asarray(floor + up)
