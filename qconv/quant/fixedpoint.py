"""Fixed-point rescaling: M = m0 * 2^-(31 + n), one product, one rounding.

    M  = S1 S2 / S3                                              (Jacob et al. 2018, equation 5)
    M  = 2^-n * M0,  M0 in [0.5, 1) held as Q31                  (equation 6)
    q3 = Z3 + round_half_even(acc * m0 * 2^-(31 + n))            (equation 4; docs/arithmetic.md, 4 and 8)

The product of an int32 accumulator and m0 fits in int64, and it is rounded once. gemmlowp rounds twice (a doubling high
product, then a shift), which differs from the real number in 0.05 to 0.24 % of the outputs; a single rounding does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qconv.quant.types import FloatArray

Int64Array = NDArray[np.int64]
Rounding = Callable[[Int64Array, Int64Array | int], Int64Array]  # of product * 2^-shift

ACC_LIMIT = 1 << 31  # |acc| stays below this: the kernels accumulate in int32


@dataclass(frozen=True, eq=False)
class Multiplier:
    """M = m0 * 2^-(31 + n) with m0 in [2^30, 2^31); n < 0 is a left shift. Arrays of one shape: () or (channels,)."""

    m0: Int64Array
    n: Int64Array

    def __post_init__(self) -> None:
        m0, n = np.asarray(self.m0, np.int64), np.asarray(self.n, np.int64)
        if m0.shape != n.shape or (m0 < 1 << 30).any() or (m0 >= 1 << 31).any():
            raise ValueError("m0 lies in [2^30, 2^31), and n has its shape")
        object.__setattr__(self, "m0", m0)
        object.__setattr__(self, "n", n)

    @classmethod
    def of(cls, scale: FloatArray | float) -> Multiplier:
        """The multiplier that equals a float32 `scale` exactly: its 24-bit mantissa is m0.

        Raises ValueError unless every scale is positive and finite.
        """
        real = np.asarray(scale, np.float32).astype(np.float64)
        if not (np.isfinite(real).all() and (real > 0).all()):
            raise ValueError("a multiplier is positive and finite")
        mantissa, exponent = np.frexp(real)
        return cls(np.ldexp(mantissa, 31).astype(np.int64), -exponent.astype(np.int64))

    @property
    def real(self) -> NDArray[np.float64]:
        """M as a float64; exact, since m0 has fewer bits than a float64's mantissa."""
        return np.ldexp(self.m0.astype(np.float64), -(31 + self.n))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Multiplier) and np.array_equal(self.m0, other.m0) and np.array_equal(self.n, other.n)

    def __hash__(self) -> int:
        return hash((self.m0.tobytes(), self.n.tobytes()))


def round_shift_half_even(product: Int64Array, shift: Int64Array | int) -> Int64Array:
    """round(product * 2^-shift), ties to even, in int64; |product| < 2^62. A negative shift saturates at +-2^62."""
    product, shift = np.broadcast_arrays(np.asarray(product, np.int64), np.asarray(shift, np.int64))
    right = np.clip(shift, 1, 62)
    floor = product >> right
    rest = product - (floor << right)
    half = np.int64(1) << (right - 1)
    return _or_left(product, shift, floor + ((rest > half) | ((rest == half) & ((floor & 1) == 1))))


def round_shift_half_up(product: Int64Array, shift: Int64Array | int) -> Int64Array:
    """The same with ties up: floor(product * 2^-shift + 1/2), what hardware does with one addition."""
    product, shift = np.broadcast_arrays(np.asarray(product, np.int64), np.asarray(shift, np.int64))
    right = np.clip(shift, 1, 62)
    return _or_left(product, shift, (product + (np.int64(1) << (right - 1))) >> right)


def _or_left(product: Int64Array, shift: Int64Array, rounded: Int64Array) -> Int64Array:
    """`rounded`, but for shifts beyond those that an int64 allows."""
    # |product| < 2^62, so a shift of 63 or more leaves less than a half.
    rounded = np.where(shift > 62, 0, rounded)
    if (shift > 0).all():
        return rounded
    left = np.clip(-shift, 0, 61)
    limit = np.int64(1) << (62 - left)
    return np.where(shift > 0, rounded, np.clip(product, -limit, limit) << left)


def rescale(acc: Int64Array, multiplier: Multiplier, rounding: Rounding = round_shift_half_even) -> Int64Array:
    """round(acc * M), half to even; |acc| < 2^31. The multiplier broadcasts against `acc`."""
    return rounding(np.asarray(acc, np.int64) * multiplier.m0, 31 + multiplier.n)


def requantize(acc: Int64Array, multiplier: Multiplier, zero_point: int, qmin: int, qmax: int) -> Int64Array:
    """clamp(Z + round_half_even(acc * M)): one fused layer's way from accumulator to code."""
    return np.clip(rescale(acc, multiplier) + zero_point, qmin, qmax)


def rescale_sum(a: int, ma: Multiplier, b: int, mb: Multiplier, zero_point: int, *, half_up: bool = False) -> int:
    """round(a Ma + b Mb + Z) in exact integers of any width: the addition of two scaled codes; halves to even, or up.

    The zero point stands inside the rounding, where it decides ties by its parity, as in onnxruntime's QLinearAdd.
    """
    shift_a, shift_b = 31 + int(ma.n), 31 + int(mb.n)
    shift = max(shift_a, shift_b, 0)
    total = (a * int(ma.m0) << (shift - shift_a)) + (b * int(mb.m0) << (shift - shift_b)) + (zero_point << shift)
    return (2 * total + (1 << shift)) >> (shift + 1) if half_up else round_half_even_shift(total, shift)


def round_half_even_shift(value: int, shift: int) -> int:
    """round(value * 2^-shift) for Python integers of any width, ties to even."""
    if shift == 0:
        return value
    floor = value >> shift
    rest, half = value - (floor << shift), 1 << (shift - 1)
    return floor + int(rest > half or (rest == half and floor & 1 == 1))
