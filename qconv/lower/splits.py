"""How a wide integer is multiplied within int32: what is cut off before, and how many bits stand behind the point afterwards."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_INT32 = 2**31
_MOST_BITS = 22  # behind the point of a code
_FINE = 0.25  # of a code


def split_of(
    most: int | NDArray[np.int64],
    zero: float,
    steepest: float | NDArray[np.floating],
    offset: float,
    usual: int | None = None,
) -> tuple[int, int] | None:
    """Which bits of x, |x| <= most, are cut off and how many stand behind the point of a code, for the least error of both.

    `most` and `steepest` may be by channel. None where int32 has no room. Nothing is cut off where that leaves `usual`
    magnitudes, by default all, within a fourth of a code.
    """
    best: tuple[float, int, int] | None = None
    for cut in range(int(np.max(most)).bit_length()):
        largest = np.trunc(most / (1 << cut)) + 1
        for bits in range(_MOST_BITS, 0, -1):
            gain = steepest * 2.0 ** (cut + bits)
            reach = np.max((gain + 1) * (largest + abs(zero) / (1 << cut))) + offset * 2.0**bits
            if reach < _INT32 - 1:
                error = float(np.max(largest + gain)) * 2.0**-bits
                if not cut and min(float(np.max(largest)), usual or math.inf) / 2 <= _FINE * 2.0**bits:
                    return cut, bits
                best = min(best or (error, cut, bits), (error, cut, bits))
                break
    return None if best is None else best[1:]


def farthest(factor: NDArray[np.floating], shift: NDArray[np.floating], reach: float, largest: int) -> NDArray[np.int64]:
    """For each channel the least integer x beyond which |factor x + shift| is more than `reach`; at most `largest`."""
    steps = np.floor((reach + np.abs(shift)) / np.maximum(np.abs(factor), 1e-30)) + 1
    return np.asarray(np.minimum(steps, largest), np.int64)
