"""QLinearAdd and QLinearMul: a function of two codes, held as a table of 65536 exact results.

    Add   q = clamp(round((a - Za) Ma + (b - Zb) Mb + Zc))      (docs/arithmetic.md, equation 13)
    Mul   q = clamp(round((a - Za)(b - Zb) M + Zc))             (equation 14)

The zero point stands inside the rounding, where its parity decides ties.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import DTypeLike

from qconv.integer.execution.arrays import Array, Operands, required
from qconv.integer.execution.kernels.requantize import code_values
from qconv.integer.execution.parallel import in_threads
from qconv.integer.step import Step
from qconv.quant.fixedpoint import Int64Array, Multiplier, rescale_sum, round_shift_half_even

_BLOCK = 1 << 18  # elements: places in a table take eight bytes each
_WIDEST = 61  # bits of an int64 sum that round_shift_half_even takes


def qlinear_add(step: Step, inputs: Operands) -> list[Array]:
    """Codes of the broadcast sum of a and b."""
    ma, mb = map(_single, step.multipliers)
    table = sum_table(ma, mb, _zero_points(step), step.result.int_type.dtype)
    return [look_up_pairs(table, required(inputs, 0), required(inputs, 1))]


def qlinear_mul(step: Step, inputs: Operands) -> list[Array]:
    """Codes of the broadcast product of a and b."""
    (multiplier,) = map(_single, step.multipliers)
    table = product_table(multiplier, _zero_points(step), step.result.int_type.dtype)
    return [look_up_pairs(table, required(inputs, 0), required(inputs, 1))]


def _zero_points(step: Step) -> tuple[int, int, int]:
    return step.codes(0).zero, step.codes(1).zero, step.result.zero


@lru_cache(maxsize=256)
def sum_table(ma: Multiplier, mb: Multiplier, zero_points: tuple[int, int, int], dtype: DTypeLike) -> Array:
    """The codes [256, 256] of all sums, indexed by bit patterns; `zero_points` are those of a, b and c."""
    za, zb, zc = zero_points
    a, b = (code_values(dtype) - za)[:, None], (code_values(dtype) - zb)[None, :]
    shift_a, shift_b = 31 + int(ma.n), 31 + int(mb.n)
    shift = max(shift_a, shift_b, 0)
    # m0 of a float32 ends in 7 zero bits, which make room: 2^9 codes * 2^24 * 2^(distance of the shifts).
    fits = min(shift_a, shift_b) >= 7 and max(33 + shift - min(shift_a, shift_b), 9 + shift - 7) + 2 <= _WIDEST
    if fits and not any(int(m.m0) & 127 for m in (ma, mb)):
        terms = (a * (int(ma.m0) >> 7) << (shift - shift_a)) + (b * (int(mb.m0) >> 7) << (shift - shift_b))
        codes = round_shift_half_even(terms + (zc << (shift - 7)), shift - 7)
    else:
        sums = [[rescale_sum(int(p), ma, int(q), mb, zc) for q in b[0]] for p in a[:, 0]]
        codes = np.array([[min(max(s, -(1 << 62)), 1 << 62) for s in row] for row in sums], np.int64)
    return _saturate(codes, dtype)


@lru_cache(maxsize=256)
def product_table(m: Multiplier, zero_points: tuple[int, int, int], dtype: DTypeLike) -> Array:
    """The codes [256, 256] of all products, indexed by bit patterns; `zero_points` are those of a, b and c."""
    za, zb, zc = zero_points
    products = (code_values(dtype) - za)[:, None] * (code_values(dtype) - zb)[None, :]
    shift = 31 + int(m.n)
    if shift > 52:  # M < 2^-21, so a product below 2^16 is far below a half
        codes = np.full_like(products, zc)
    elif shift < 0:  # M >= 2^31: every product but zero saturates
        codes = np.sign(products) * (1 << 32) + zc
    else:
        codes = round_shift_half_even(products * int(m.m0) + (zc << shift), shift)
    return _saturate(codes, dtype)


def look_up_pairs(table: Array, a: Array, b: Array) -> Array:
    """`table` at every pair of codes of a and b, broadcast."""
    flat = table.reshape(-1)
    high, low = np.broadcast_arrays(a.view(np.uint8), b.view(np.uint8))
    found = np.empty(high.size, flat.dtype)
    highs, lows = high.reshape(-1), low.reshape(-1)

    def look_up(part: slice) -> None:
        found[part] = flat[highs[part].astype(np.uint16) * np.uint16(256) + lows[part]]

    in_threads(look_up, (slice(start, start + _BLOCK) for start in range(0, found.size, _BLOCK)))
    return found.reshape(high.shape)


def _saturate(codes: Int64Array, dtype: DTypeLike) -> Array:
    limits = np.iinfo(np.dtype(dtype))
    return np.asarray(np.clip(codes, limits.min, limits.max).astype(dtype))


def _single(multiplier: Multiplier) -> Multiplier:
    return Multiplier(multiplier.m0.reshape(()), multiplier.n.reshape(()))
