"""From accumulators to codes: q = clamp(Z + round_half_even(acc * M)), in blocks that stay in the processor's cache."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from qconv.integer.execution.arrays import Array
from qconv.quant.fixedpoint import ACC_LIMIT, Multiplier, requantize
from qconv.quant.types import QuantParams

_BLOCK = 1 << 15  # elements: int64 temporaries of 256 KiB


def requantize_rows(acc: Array, bias: Array, multiplier: Multiplier, result: QuantParams) -> Array:
    """Codes of `acc` [rows, columns] + `bias`; bias and multiplier are () or broadcast to [rows, columns].

    `acc` holds integers, in whatever type they were summed. Raises ValueError where a sum does not fit in int32, as
    onnxruntime's would wrap around.
    """
    limits = np.iinfo(result.zero_point.dtype)
    codes = np.empty(acc.shape, limits.dtype)
    bias, m0, n = _as_rows(bias), _as_rows(multiplier.m0), _as_rows(multiplier.n)
    step = max(1, _BLOCK // max(1, acc.shape[1]))
    for start in range(0, acc.shape[0], step):
        rows = slice(start, start + step)
        block = acc[rows].astype(np.int64) + _block(bias, rows)
        if block.size and max(-int(block.min()), int(block.max())) >= ACC_LIMIT:
            raise ValueError("an accumulator leaves the range of int32")
        codes[rows] = requantize(block, Multiplier(_block(m0, rows), _block(n, rows)), result.zero, limits.min, limits.max)
    return codes


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
