"""Functions of one code, as tables of 256 entries: QLinearLeakyRelu, QLinearSigmoid, and the rescaling inside QLinearConcat.

Concat      q = clamp(Zy + round((x - Zx) M)), a copy where (S, Z) are equal     (docs/arithmetic.md, equation 8)
LeakyRelu   the same, with a second M below Zx
Sigmoid     q = clamp(Zy + round(sigmoid(Sx (x - Zx)) / Sy)), rounded once from float64
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
from numpy.typing import DTypeLike

from qconv.integer.execution.arrays import Array, Operands, required, scalar
from qconv.integer.execution.kernels.requantize import code_values, look_up, requantize_table
from qconv.integer.language.multipliers import leaky, ratio


def qlinear_leaky_relu(node: ir.Node, inputs: Operands) -> list[Array]:
    """x where it is at or above its zero point, alpha x below; `alpha` is positive."""
    x, zero_point, y_zero_point = required(inputs, 0), scalar(inputs, 2), scalar(inputs, 4)
    above, below = leaky(required(inputs, 1), required(inputs, 3), node.attributes.get_float("alpha", 0.01))
    at_or_above = code_values(x.dtype) >= zero_point
    upper = requantize_table(above, zero_point, y_zero_point, x.dtype)
    lower = requantize_table(below, zero_point, y_zero_point, x.dtype)
    return [look_up(np.where(at_or_above, upper, lower), x)]


def qlinear_sigmoid(node: ir.Node, inputs: Operands) -> list[Array]:
    """1 / (1 + exp(-x)) of the real that a code stands for."""
    x = required(inputs, 0)
    x_scale, y_scale = float(required(inputs, 1).reshape(())), float(required(inputs, 3).reshape(()))
    return [look_up(sigmoid_table(x_scale, scalar(inputs, 2), y_scale, scalar(inputs, 4), x.dtype), x)]


def sigmoid_table(x_scale: float, x_zero_point: int, y_scale: float, y_zero_point: int, dtype: DTypeLike) -> Array:
    """The 256 codes of the sigmoid by bit pattern."""
    real = x_scale * (code_values(dtype) - x_zero_point)
    values = np.array([1 / (1 + math.exp(-r)) if r > -700 else 0.0 for r in real.tolist()])
    limits = np.iinfo(np.dtype(dtype))
    codes = np.clip(np.rint(values / y_scale) + y_zero_point, limits.min, limits.max)
    return np.asarray(codes.astype(dtype))


def qlinear_concat(node: ir.Node, inputs: Operands) -> list[Array]:
    """The inputs brought to the output's (S, Z), one after another along `axis`; one input is a plain rescaling."""
    y_scale, y_zero_point = required(inputs, 0), scalar(inputs, 1)
    parts = []
    for index in range(2, len(inputs), 3):
        x, x_scale, x_zero_point = required(inputs, index), required(inputs, index + 1), scalar(inputs, index + 2)
        if np.array_equal(x_scale.reshape(()), y_scale.reshape(())) and x_zero_point == y_zero_point:
            parts.append(x)
        else:
            multiplier = ratio(x_scale.reshape(()), y_scale.reshape(()))
            parts.append(look_up(requantize_table(multiplier, x_zero_point, y_zero_point, x.dtype), x))
    return [np.concatenate(parts, axis=node.attributes.get_int("axis"))]
