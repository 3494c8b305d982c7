"""QLinearSoftmax: the one kernel that is float inside on purpose, because onnxruntime has no integer softmax.

It adds up a float32 table of exponentials in order and divides in float64; the same steps are taken here, in the same order, so
that codes agree. Nothing of it is a fixed-point (M0, n) computation, and where exactness is claimed it is named as the exception.

    reserve  = max(0, log(FLT_MAX / D) - 5) / S_x         so that the sum of D terms does not overflow
    table[i] = float32(exp((i - 255 + reserve) S_x))
    t        = table[x + (255 - max x)]
    q        = min(qmax, rint(t floor(1 / S_y) / (t_1 + t_2 + ... + t_D)) + Z_y)
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from qconv.integer.execution.arrays import Array, Operands, required
from qconv.integer.step import Step


def qlinear_softmax(step: Step, inputs: Operands) -> list[Array]:
    """Codes of softmax along `axis` (attribute opset >= 13), or over all axes from `axis` on (opset < 13)."""
    x = required(inputs, 0)
    x_scale, y_scale = float(step.codes(0).scale), np.float32(step.result.scale)
    opset = step.geometry.integer("opset")
    axis = step.geometry.integer("axis", 1 if opset < 13 else -1) % max(x.ndim, 1)
    rows = np.swapaxes(x, axis, -1) if opset >= 13 else x.reshape(math.prod(x.shape[:axis]), -1)
    codes = softmax_codes(np.ascontiguousarray(rows), x_scale, np.floor(np.float32(1) / y_scale), step.result.zero)
    return [np.ascontiguousarray(np.swapaxes(codes, axis, -1)) if opset >= 13 else codes.reshape(x.shape)]


def softmax_codes(x: Array, x_scale: float, inverse_y_scale: np.float32, y_zero_point: int) -> Array:
    """Softmax of 8-bit codes along the last axis, with onnxruntime's table, order of addition and rounding."""
    bias = int(np.iinfo(x.dtype).min)
    values = x.astype(np.int64) - bias  # int8 codes from 0, as uint8 codes are
    table = exponentials(x_scale, x.shape[-1])
    terms = table[values + (255 - values.max(axis=-1, keepdims=True))]
    # accumulate adds from left to right, in float32, one element at a time; sum would add in pairs
    total = np.add.accumulate(terms, axis=-1, dtype=np.float32)[..., -1:]
    # A float64 holds the product of 24 bits and a scale of up to 24 exactly, so that only the quotient is rounded.
    codes = np.rint(terms.astype(np.float64) * float(inverse_y_scale) / total) + y_zero_point
    return np.asarray(np.minimum(codes, np.iinfo(x.dtype).max).astype(x.dtype))


@lru_cache(maxsize=64)
def exponentials(x_scale: float, length: int) -> Array:
    """The table of 256 float32 exponentials for rows of `length` codes."""
    largest = np.finfo(np.float32).max / np.float32(length)
    reserve = max(0.0, float(np.log(largest)) - 5) / x_scale
    return np.array([math.exp((i - 255 + reserve) * x_scale) for i in range(256)], np.float64).astype(np.float32)
