"""QLinearMatMul and QGemm: acc = sum (a - Za)(b - Zb) + bias, then one rescaling, per column where b has a scale per column."""

from __future__ import annotations

import numpy as np

from qconv.integer.execution.arrays import Array, Operands, optional, required
from qconv.integer.execution.kernels.requantize import requantize_rows
from qconv.integer.execution.kernels.sums import exact_type, largest_distance, shifted
from qconv.integer.step import Step
from qconv.quant.fixedpoint import Multiplier

_BLOCK = 1 << 21  # weights at a time: their float copies stay near the processor


def qlinear_matmul(step: Step, inputs: Operands) -> list[Array]:
    """Codes of a [..., M, K] times b [..., K, N], both of them weights or activations."""
    acc = multiply(required(inputs, 0), step.codes(0).zero, required(inputs, 1), step.codes(1).zero_point)
    return [_codes(acc, None, step)]


def qgemm(step: Step, inputs: Operands) -> list[Array]:
    """Codes [M, N] of alpha A' B' + C, where ' is a transposition that an attribute asks for."""
    a, b = required(inputs, 0), required(inputs, 1)
    a = a.T if step.geometry.integer("transA", 0) else a
    b = b.T if step.geometry.integer("transB", 0) else b
    return [_codes(multiply(a, step.codes(0).zero, b, step.codes(1).zero_point), optional(inputs, 2), step)]


def matmul_integer(step: Step, inputs: Operands) -> list[Array]:
    """The sums of a [..., M, K] times b [..., K, N] themselves, in int32."""
    zero_points = [optional(inputs, index) for index in (2, 3)]
    a_zero_point, b_zero_point = (np.zeros((), np.int64) if z is None else z for z in zero_points)
    sums = multiply(required(inputs, 0), int(a_zero_point.reshape(())), required(inputs, 1), b_zero_point)
    return [sums.astype(np.int32)]


def matmul(step: Step, inputs: Operands) -> list[Array]:
    """The product of a [..., M, K] and b [..., K, N] in the type of both, which wraps around as that of onnxruntime does."""
    return [np.asarray(np.matmul(required(inputs, 0), required(inputs, 1)))]


def multiply(a: Array, a_zero_point: int, b: Array, b_zero_point: Array) -> Array:
    """The integer sums of (a - Za) times (b - Zb), held exactly in a float type; Zb is one value or one per column."""
    b_zero_point = b_zero_point if b_zero_point.size > 1 else b_zero_point.reshape(())
    step = max(1, _BLOCK // max(1, b.shape[0]))
    if b.ndim != 2 or step >= b.shape[1]:
        return _product(a, a_zero_point, b, b_zero_point)
    row = np.broadcast_to(b_zero_point, (1, b.shape[1]))
    blocks = [slice(start, start + step) for start in range(0, b.shape[1], step)]
    return np.concatenate([_product(a, a_zero_point, b[:, block], row[:, block]) for block in blocks], axis=-1)


def _product(a: Array, a_zero_point: int, b: Array, b_zero_point: Array) -> Array:
    distances = np.abs(np.subtract(b, b_zero_point, dtype=np.int16))
    sums = distances.sum(axis=-2 if b.ndim > 1 else 0, dtype=np.int64)
    dtype = exact_type(int(sums.max(initial=0)) * largest_distance(a.dtype, a_zero_point))
    return np.asarray(np.matmul(shifted(a, a_zero_point, dtype), shifted(b, b_zero_point, dtype)))


def _codes(acc: Array, bias: Array | None, step: Step) -> Array:
    columns = acc.shape[-1] if acc.ndim else 1
    rows = acc.reshape(-1, columns)
    bias = np.zeros((), np.int64) if bias is None else bias.astype(np.int64)
    bias = np.broadcast_to(bias, acc.shape).reshape(rows.shape) if bias.ndim > 1 else bias
    (multiplier,) = step.multipliers
    by_column = Multiplier(*(values.reshape(1, -1) for values in (multiplier.m0, multiplier.n)))
    return requantize_rows(rows, bias, by_column, step.result).reshape(acc.shape)
