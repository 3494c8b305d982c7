"""From accumulators to codes: q = clamp(Z + round_half_even(acc * M)), in blocks that stay in the processor's cache."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from qconv.integer.execution.arrays import Array
from qconv.quant.fixedpoint import ACC_LIMIT, Multiplier, requantize
from qconv.quant.types import QuantParams

_BLOCK = 1 << 15  # elements: temporaries of 256 KiB
_SHORT = 1 << 29  # sums of 29 bits and a sign, which with 24 bits of a mantissa make 53


def requantize_rows(acc: Array, bias: Array, multiplier: Multiplier, result: QuantParams) -> Array:
    """Codes of `acc` [rows, columns] + `bias`; bias and multiplier are () or broadcast to [rows, columns].

    `acc` holds integers below 2^53, in whatever type they were summed. Raises ValueError where a sum does not fit in int32, as
    onnxruntime's would wrap around.
    """
    limits = np.iinfo(result.zero_point.dtype)
    codes = np.empty(acc.shape, limits.dtype)
    bias, m0, n = _as_rows(bias), _as_rows(multiplier.m0), _as_rows(multiplier.n)
    step = max(1, _BLOCK // max(1, acc.shape[1]))
    for start in range(0, acc.shape[0], step):
        rows = slice(start, start + step)
        sums = acc[rows].astype(np.float64) + _block(bias, rows)
        reach = max(-int(sums.min()), int(sums.max())) if sums.size else 0
        if reach >= ACC_LIMIT:
            raise ValueError("an accumulator leaves the range of int32")
        some = Multiplier(_block(m0, rows), _block(n, rows))
        codes[rows] = _codes(sums, reach, some, result.zero, limits)
    return codes


def _codes(sums: Array, reach: int, multiplier: Multiplier, zero_point: int, limits: np.iinfo[Any]) -> Array:
    """Codes of integers up to `reach`, held in float64.

    Where sum and mantissa have at most 53 bits together, their product is exact in float64, and so is its rounding: m0 of a
    float32 ends in 7 zeros. The rest is reckoned in int64.
    """
    if reach < _SHORT and not (multiplier.m0 & 127).any():
        product = sums * multiplier.real
        np.rint(product, out=product)
        product += zero_point
        return np.clip(product, limits.min, limits.max, out=product)
    return requantize(sums.astype(np.int64), multiplier, zero_point, limits.min, limits.max)


def requantize_table(multiplier: Multiplier, x: QuantParams, result: QuantParams) -> Array:
    """The 256 codes of an affine map, in the order of the bit patterns of the codes of `x`."""
    acc = code_values(x.int_type.dtype) - x.zero
    single = Multiplier(multiplier.m0.reshape(()), multiplier.n.reshape(()))
    return requantize_rows(acc.reshape(1, -1), np.zeros((), np.int64), single, result).reshape(-1)


def code_values(dtype: DTypeLike) -> Array:
    """The value of each of the 256 bit patterns of an 8-bit type, as int64."""
    return np.arange(256, dtype=np.uint8).view(np.dtype(dtype)).astype(np.int64)


def look_up(table: Array, codes: Array) -> Array:
    """`table` (256 entries by bit pattern) at 8-bit `codes`."""
    return table[codes.view(np.uint8)]


def _as_rows(array: Array) -> Array:
    return array.reshape((1,) * (2 - array.ndim) + array.shape)


def _block(array: Array, rows: slice) -> Array:
    return array[rows] if array.shape[0] > 1 else array
