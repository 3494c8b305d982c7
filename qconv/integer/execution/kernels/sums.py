"""Exact sums of integer products through floating-point matrix products.

A float32 represents every integer up to 2^24 and a float64 every integer up to 2^53. While sum |a||b| stays below that,
every partial sum is such an integer, in whatever order it is formed, with or without fused multiply-add; so the result is exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from qconv.integer.execution.arrays import Array

_FLOAT32_INTEGERS = 1 << 24
_FLOAT64_INTEGERS = 1 << 53


def exact_type(bound: int) -> np.dtype[np.floating]:
    """The narrowest float type in which sums of absolute value up to `bound` are exact; ValueError beyond 2^53."""
    if bound < _FLOAT32_INTEGERS:
        return np.dtype(np.float32)
    if bound < _FLOAT64_INTEGERS:
        return np.dtype(np.float64)
    raise ValueError(f"sums up to {bound} are not exact in float64")


def largest_distance(dtype: DTypeLike, zero_point: int) -> int:
    """The largest |q - Z| of an 8-bit type."""
    limits = np.iinfo(np.dtype(dtype))
    return max(zero_point - int(limits.min), int(limits.max) - zero_point)


def shifted(q: Array, zero_point: Array | int, dtype: np.dtype[np.floating]) -> Array:
    """q - Z in the float type `dtype`, where it is exact."""
    values = q.astype(dtype)
    if np.any(zero_point):
        values -= np.asarray(zero_point).astype(dtype)
    return values
