"""The scale of a tensor whose elements are averaged in one rounding: y = Z_y + round(sum (x - Z_x) S_x / (S_y n))."""

from __future__ import annotations

import numpy as np

from qconv.quant.certify import Certificate, certify_one
from qconv.quant.grids import Grid
from qconv.quant.types import FloatArray, QuantParams


def mean_factor(x_scale: FloatArray, y: QuantParams, count: int) -> FloatArray:
    """The float32 number that onnxruntime multiplies a sum of `count` codes by."""
    return np.asarray(x_scale / (y.scale * np.float32(count)), np.float32)


def certified_mean(x: QuantParams, y: QuantParams, count: int, grid: Grid = Grid.FREE) -> tuple[FloatArray, Certificate]:
    """S_x raised by ulps until fixed point equals the kernel for every sum of `count` codes."""
    low, high = code_ends(x)
    return certify_one(x.scale, lambda scale: mean_factor(scale, y, count), *code_ends(y), count * low, count * high, grid)


def code_ends(params: QuantParams) -> tuple[int, int]:
    """The lowest and the highest code of the container, less the zero point."""
    limits, zero_point = np.iinfo(params.int_type.dtype), int(params.zero_point)
    return limits.min - zero_point, limits.max - zero_point
