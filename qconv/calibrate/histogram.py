"""A histogram whose range grows without losing a count.

Bin k holds the elements x with

    k = floor(x * 2^-e)

so that bins are 2^e wide and aligned at zero. e is the smallest exponent for which the extremes [lo, hi] of the whole tensor span
at most `BINS` bins. Both the product and the floor are exact in float64. Raising e by one halves every index, rounding down,
which is `k >> 1`: a coarsened histogram is the one that would have been counted with the coarser bins at once. As e depends
on the extremes only, the result is the same however the elements are cut, grouped and ordered. Zeros are counted apart,
because zero is represented exactly whatever the range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qconv.quant.types import FloatArray

BINS = 2048
_FINEST = -160  # below the smallest float32, 2^-149
_RESOLUTION = 24  # bits of float32: bins are never finer than the steps between numbers of the largest magnitude

Counts = NDArray[np.int64]
Doubles = NDArray[np.float64]


def exponents(lo: ArrayLike, hi: ArrayLike) -> NDArray[np.int64]:
    """e for each pair of finite extremes, elementwise; `_FINEST` where both are zero."""
    low, high = np.asarray(lo, np.float64), np.asarray(hi, np.float64)
    magnitude = np.maximum(np.abs(low), np.abs(high))
    largest = np.where(magnitude > 0, np.frexp(magnitude)[1] - _RESOLUTION, _FINEST)
    span = np.frexp((high - low) / BINS)[1] - 1  # 2^span <= (high - low) / BINS: at most two too fine
    found = np.maximum(np.maximum(largest, np.where(high > low, span, _FINEST)), _FINEST).astype(np.int64)
    while (tight := bin_of(high, found) - bin_of(low, found) >= BINS).any():
        found = found + tight
    return np.asarray(found, np.int64)


def bin_of(values: ArrayLike, exponent: ArrayLike) -> Counts:
    """floor(x * 2^-e) of finite float32 values, elementwise."""
    found: Counts = np.floor(np.ldexp(np.asarray(values, np.float64), -np.asarray(exponent))).astype(np.int64)
    return found


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts of bins of width 2^`exponent`, from bin number `first` on; the outer ones are not empty. Compared by value."""

    exponent: int
    first: int
    counts: Counts

    @classmethod
    def trimmed(cls, exponent: int, first: int, counts: Counts) -> Self:
        """Without the empty bins at both ends."""
        filled = np.flatnonzero(counts)
        if not filled.size:
            return cls(exponent, 0, counts[:0])
        return cls(exponent, first + int(filled[0]), counts[filled[0] : filled[-1] + 1])

    @classmethod
    def of(cls, values: FloatArray, exponent: int) -> Self:
        """Of finite values that span at most `BINS` bins; zeros are left out."""
        index = bin_of(values[values != 0], exponent)
        if not index.size:
            return cls(exponent, 0, np.zeros(0, np.int64))
        return cls(exponent, int(index.min()), np.bincount(index - index.min()).astype(np.int64))

    @property
    def width(self) -> float:
        """2^e."""
        return float(np.ldexp(1.0, self.exponent))

    @cached_property
    def edges(self) -> Doubles:
        """[bins + 1], ascending."""
        return np.ldexp(np.arange(self.first, self.first + len(self.counts) + 1, dtype=np.float64), self.exponent)

    @cached_property
    def centres(self) -> Doubles:
        """Of the bins."""
        return (self.edges[:-1] + self.edges[1:]) / 2

    @cached_property
    def total(self) -> int:
        """Number of elements."""
        return int(self.counts.sum())

    def coarsened(self, exponent: int) -> Self:
        """The same elements in bins of width 2^`exponent`, which is no less than now."""
        shift = min(exponent - self.exponent, 62)
        if shift == 0 or not len(self.counts):
            return type(self)(exponent, self.first, self.counts)
        first = self.first >> shift
        index = (np.arange(self.first, self.first + len(self.counts)) >> shift) - first
        counts = np.zeros(int(index[-1]) + 1, np.int64)
        np.add.at(counts, index, self.counts)
        return type(self)(exponent, first, counts)

    def merge(self, other: Self, exponent: int) -> Self:
        """The elements of both, in bins of width 2^`exponent`, which is no less than either's."""
        a, b = self.coarsened(exponent), other.coarsened(exponent)
        if not len(a.counts) or not len(b.counts):
            return a if len(a.counts) else b
        first = min(a.first, b.first)
        counts = np.zeros(max(a.first + len(a.counts), b.first + len(b.counts)) - first, np.int64)
        for part in (a, b):
            counts[part.first - first : part.first - first + len(part.counts)] += part.counts
        return type(self)(exponent, first, counts)

    def to_json(self) -> dict[str, Any]:
        """Plain data, exact."""
        return {"exponent": self.exponent, "first": self.first, "counts": self.counts.tolist()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError on other data."""
        exponent, first, counts = data["exponent"], data["first"], data["counts"]
        if type(exponent) is not int or type(first) is not int or not isinstance(counts, list) or len(counts) > BINS:
            raise TypeError("a histogram has an exponent, a first bin and a list of counts")
        if not all(type(count) is int and 0 <= count < 1 << 62 for count in counts):
            raise ValueError("a count is a natural number")
        if not _FINEST <= exponent < 128 or not -(1 << 32) < first < 1 << 32 or (counts and not (counts[0] and counts[-1])):
            raise ValueError("the bins of a histogram are out of bounds")
        return cls(exponent, first, np.array(counts, np.int64))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Histogram)
            and (self.exponent, self.first) == (other.exponent, other.first)
            and np.array_equal(self.counts, other.counts)
        )

    def __hash__(self) -> int:
        return hash((self.exponent, self.first, self.counts.tobytes()))
