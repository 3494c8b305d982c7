"""Multipliers of few bits: M = k 2^-n with k < 2^bits, and scales that lead to them.

With one bit M is a shift, with eight an 8-bit product and a shift. onnxruntime computes M in float32 from scales, so a scale is
looked for, among the floats nearby, whose M is such a number exactly. Where there is none, the next M is tried.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from qconv.quant.types import FloatArray

Doubles = NDArray[np.float64]
ScaleOf = Callable[[FloatArray], FloatArray]  # M in float32, of values with the same indices
_ULPS = 4  # to either side of the value that division gives
_NEXT = 32  # multipliers that are tried one after the other
_SLACK = 0.01  # of a range that a power of two may cut off: 1/255 becomes 1/256


@dataclass(frozen=True)
class Grid:
    """Which multipliers there are: k 2^-n with k < 2^bits, and how many bits scales have that follow from ranges.

    With one bit all scales are powers of two. Scales of few bits make more of the multipliers reachable.
    """

    bits: int
    scale_bits: int = 24
    FREE: ClassVar[Grid]

    @property
    def free(self) -> bool:
        """Whether any float32 will do."""
        return self.bits >= np.finfo(np.float32).nmant + 1

    @property
    def powers(self) -> bool:
        """Whether every scale is a power of two."""
        return self.scale_bits == 1

    def has(self, multiplier: FloatArray) -> NDArray[np.bool_]:
        """Which of some multipliers are in it."""
        return np.asarray(self.nearest(multiplier) == multiplier)

    def nearest(self, multiplier: FloatArray | Doubles) -> Doubles:
        """The nearest multiplier in the grid."""
        mantissa, exponent = np.frexp(np.asarray(multiplier, np.float64))
        return np.asarray(np.ldexp(np.rint(np.ldexp(mantissa, self.bits)), exponent - self.bits))

    def above(self, multiplier: Doubles) -> Doubles:
        """The next one above a multiplier in the grid."""
        _, exponent = np.frexp(multiplier)
        return np.asarray(multiplier + np.ldexp(1.0, exponent - self.bits))

    def snapped(self, values: FloatArray, scale_of: ScaleOf) -> FloatArray:
        """The values nearby whose multipliers are in the grid, as far as there are some among the next ones."""
        if self.free or self.has(scale_of(values)).all():
            return values
        return self._reached(values, scale_of, self.nearest(scale_of(values)))

    def raised(self, values: FloatArray, scale_of: ScaleOf, ulps: int = 1) -> FloatArray:
        """The next values above whose multipliers are in the grid: of all float32, those so many ulps above."""
        if self.free:
            return (np.asarray(values, np.float32).view(np.int32) + np.int32(ulps)).view(np.float32)
        return self._reached(values, scale_of, self.above(self.nearest(scale_of(values))))

    def _reached(self, values: FloatArray, scale_of: ScaleOf, wanted: Doubles) -> FloatArray:
        found = np.array(values, np.float32)
        open_ = np.ones(found.shape, bool)
        for _ in range(_NEXT):
            near = np.asarray(values * (wanted / scale_of(values)), np.float32)
            for ulps in sorted(range(-_ULPS, _ULPS + 1), key=abs):
                tried = (near.view(np.int32) + np.int32(ulps)).view(np.float32)
                hit = open_ & (scale_of(tried) == wanted)
                found, open_ = np.where(hit, tried, found), open_ & ~hit
            if not open_.any():
                break
            wanted = np.where(open_, self.above(wanted), wanted)
        return np.asarray(found, np.float32)


Grid.FREE = Grid(24)
POWERS, DYADIC = Grid(1, scale_bits=1), Grid(8, scale_bits=8)


def power_of_two(scale: FloatArray | Doubles | float) -> FloatArray:
    """The least power of two that is not below a scale, but for a hundredth."""
    mantissa, exponent = np.frexp(np.asarray(scale, np.float64) * (1.0 - _SLACK))
    return np.asarray(np.ldexp(1.0, exponent - (mantissa == 0.5)), np.float32)


def shortened(scale: FloatArray | Doubles | float, bits: int) -> FloatArray:
    """A scale of so many bits that is not smaller; a power of two may be smaller by a hundredth."""
    if bits == 1:
        return power_of_two(scale)
    if bits >= Grid.FREE.bits:
        return np.asarray(scale, np.float32)
    mantissa, exponent = np.frexp(np.asarray(scale, np.float64))
    return np.asarray(np.ldexp(np.ceil(np.ldexp(mantissa, bits)), exponent - bits), np.float32)
