"""Functions of one or two 8-bit codes as tables: what our arithmetic says, and what onnxruntime's float32 path says.

The operands have at most 256 codes, so equality of the two is decided by enumeration (docs/arithmetic.md, 7).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qconv.quant.fixedpoint import (
    Int64Array,
    Multiplier,
    Rounding,
    rescale,
    rescale_sum,
    round_shift_half_even,
    round_shift_half_up,
)
from qconv.quant.types import FloatArray, IntArray, IntType, QuantParams


def codes_of(int_type: IntType) -> Int64Array:
    """All codes of the container, ascending: 256 of them, whatever the number of bits in use."""
    limits = np.iinfo(int_type.dtype)
    return np.arange(limits.min, limits.max + 1, dtype=np.int64)


def add_table(a: QuantParams, b: QuantParams, y: QuantParams, rounding: Rounding = round_shift_half_even) -> Int64Array:
    """clamp(round((a - Za) Ma + (b - Zb) Mb + Zc)) over all pairs of codes, shape (256, 256); Ma = Sa/Sc, Mb = Sb/Sc."""
    ma, mb = Multiplier.of(a.scale / y.scale), Multiplier.of(b.scale / y.scale)
    left = codes_of(a.int_type) - int(a.zero_point)
    right = codes_of(b.int_type) - int(b.zero_point)
    zero_point = int(y.zero_point)
    shift_a, shift_b = 31 + int(ma.n), 31 + int(mb.n)
    shift = max(shift_a, shift_b)
    if 0 <= shift <= 52 and abs(shift_a - shift_b) <= 20:
        terms_a = left * ma.m0 << (shift - shift_a)
        terms_b = right * mb.m0 << (shift - shift_b)
        total = terms_a[:, None] + terms_b[None, :] + (zero_point << shift)
        table = rounding(total, shift)
    else:  # too wide for int64: Python's integers
        up = rounding is round_shift_half_up
        table = np.asarray([[rescale_sum(int(p), ma, int(q), mb, zero_point, half_up=up) for q in right] for p in left])
    return _saturated(table, y)


def ort_add_fused(a: QuantParams, b: QuantParams, y: QuantParams) -> Int64Array:
    """The same in the float32 order of onnxruntime's QLinearAdd: rint((F + b rB) + a rA), F = Zc - (rA Za + rB Zb).

    Vector units with fused multiply-add round each product and sum once.
    """
    ra, rb = a.scale / y.scale, b.scale / y.scale
    offset = fma(_real(a.zero_point), ra, _real(b.zero_point) * rb)
    fixed_part = _real(y.zero_point) - offset
    left, right = _columns(a), _columns(b).T
    return _packed(np.rint(fma(left, ra, fma(right, rb, fixed_part))), y)


def ort_add_swapped(a: QuantParams, b: QuantParams, y: QuantParams) -> Int64Array:
    """The same when `a` is a single element: the kernel lets the operands change places."""
    return ort_add_fused(b, a, y).T


def ort_add_plain(a: QuantParams, b: QuantParams, y: QuantParams) -> Int64Array:
    """The same on units without fused multiply-add: every operation rounds."""
    ra, rb = a.scale / y.scale, b.scale / y.scale
    fixed_part = _real(y.zero_point) - (ra * _real(a.zero_point) + rb * _real(b.zero_point))
    return _packed(np.rint((fixed_part + _columns(b).T * rb) + _columns(a) * ra), y)


# A certified addition equals all of them.
ORT_ADD_FORMS = (ort_add_fused, ort_add_swapped, ort_add_plain)


def fma(x: NDArray[np.float32], y: FloatArray, z: NDArray[np.float32] | np.float32) -> NDArray[np.float32]:
    """float32(x y + z) with one rounding, for x that is a code: the product of 8 and 24 bits is exact in float64.

    The sum is rounded to 53 bits first, which moves the result only where it lies within 2^-29 ulp of the middle of two floats.
    """
    return np.asarray(x.astype(np.float64) * y.astype(np.float64) + z, np.float32)


def mul_scale(a_scale: FloatArray, b_scale: FloatArray, y_scale: FloatArray) -> FloatArray:
    """Sa Sb / Sc in float32 and in onnxruntime's order."""
    return np.asarray(np.float32(np.float32(a_scale * b_scale) / y_scale))


def products(a: QuantParams, b: QuantParams) -> Int64Array:
    """(a - Za)(b - Zb) over all pairs of codes, shape (256, 256)."""
    left = codes_of(a.int_type) - int(a.zero_point)
    right = codes_of(b.int_type) - int(b.zero_point)
    return np.multiply.outer(left, right)


def mul_table(a: QuantParams, b: QuantParams, y: QuantParams, rounding: Rounding = round_shift_half_even) -> Int64Array:
    """clamp(round((a - Za)(b - Zb) M + Zc)) over all pairs of codes, the zero point inside the rounding."""
    multiplier = Multiplier.of(mul_scale(a.scale, b.scale, y.scale))
    shift = 31 + int(multiplier.n)
    product = products(a, b) * multiplier.m0
    zero_point = int(y.zero_point)
    if 0 <= shift <= 52:
        table = rounding(product + (zero_point << shift), shift)
    else:  # so small or so large that no tie can meet the zero point
        table = rounding(product, shift) + zero_point
    return _saturated(table, y)


def ort_mul_table(a: QuantParams, b: QuantParams, y: QuantParams) -> Int64Array:
    """The same in the float32 order of onnxruntime's QLinearMul: rint(float32(product) * s + Zc)."""
    scale = mul_scale(a.scale, b.scale, y.scale)
    real = products(a, b).astype(np.float32) * scale + _real(y.zero_point)
    return _packed(np.rint(real), y)


def affine_table(x: QuantParams, y: QuantParams, rounding: Rounding = round_shift_half_even) -> Int64Array:
    """clamp(Zy + round((x - Zx) M)) over all codes, M = Sx / Sy: a change of parameters. Shape (256,)."""
    acc = codes_of(x.int_type) - int(x.zero_point)
    return _saturated(rescale(acc, Multiplier.of(x.scale / y.scale), rounding) + int(y.zero_point), y)


def ort_affine_table(x: QuantParams, y: QuantParams) -> Int64Array:
    """The same as onnxruntime's QLinearConcat computes it: dequantize, divide, rint, shift."""
    real = (codes_of(x.int_type) - int(x.zero_point)).astype(np.float32) * x.scale
    return _quantized(real, y)


def leaky_relu_table(x: QuantParams, y: QuantParams, alpha: float, rounding: Rounding = round_shift_half_even) -> Int64Array:
    """clamp(Zy + round((x - Zx) M)), M = Sx / Sy above zero and alpha Sx / Sy below. Shape (256,). alpha > 0."""
    acc = codes_of(x.int_type) - int(x.zero_point)
    above = rescale(acc, Multiplier.of(x.scale / y.scale), rounding)
    below = rescale(acc, Multiplier.of(np.float32(np.float32(alpha) * x.scale) / y.scale), rounding)
    return _saturated(np.where(acc >= 0, above, below) + int(y.zero_point), y)


def ort_leaky_relu_table(x: QuantParams, y: QuantParams, alpha: float) -> Int64Array:
    """The same as onnxruntime's QLinearLeakyRelu computes it."""
    real = (codes_of(x.int_type) - int(x.zero_point)).astype(np.float32) * x.scale
    return _quantized(np.where(real >= 0, real, real * np.float32(alpha)), y)


def sigmoid_table(x: QuantParams, y: QuantParams) -> Int64Array:
    """clamp(Zy + round(sigmoid(Sx (x - Zx)) / Sy)) in float64, rounded once. Shape (256,)."""
    real = (codes_of(x.int_type) - int(x.zero_point)) * float(x.scale)
    with np.errstate(over="ignore"):  # 1 / (1 + inf) is the right zero
        shares = 1.0 / (1.0 + np.exp(-real))
    return _saturated(np.rint(shares / float(y.scale)) + int(y.zero_point), y)


def _quantized(real: NDArray[np.float32], y: QuantParams) -> Int64Array:
    with np.errstate(over="ignore"):  # an infinite quotient, as of a mask of float32's lowest, saturates like any other
        return _saturated(np.rint(real / y.scale) + _real(y.zero_point), y)


def _saturated(codes: NDArray[np.floating] | Int64Array, y: QuantParams) -> Int64Array:
    limits = np.iinfo(y.int_type.dtype)
    return np.asarray(np.clip(codes, limits.min, limits.max), np.int64)


def _packed(rounded: NDArray[np.float32], y: QuantParams) -> Int64Array:
    """Through int32 to codes, as QLinearAdd and QLinearMul go on x86: what does not fit in int32 becomes INT32_MIN (cvtps2dq)."""
    lowest = np.float32(-(2.0**31))
    fits = (rounded >= lowest) & (rounded < -lowest)
    return _saturated(np.where(fits, rounded, lowest), y)


def _columns(params: QuantParams) -> NDArray[np.float32]:
    return codes_of(params.int_type).astype(np.float32)[:, None]


def _real(zero_point: IntArray) -> NDArray[np.float32]:
    return zero_point.astype(np.float32)
