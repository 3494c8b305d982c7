"""A histogram whose range grows without losing a count, and whose resolution no outlier can take.

A bin at x is 2^w wide and begins at a multiple of its width:

    w = min(e, floor(log2 |x|) - 7)

Far from zero bins are 2^e wide; e is the smallest exponent for which the extremes [lo, hi] of the tensor span at most `BINS` of
such bins. Near zero, where |x| < 2^(e+7), they are those of numbers with 7 bits of mantissa: an outlier that is a million times
larger than the rest makes e large, and still leaves 128 bins to every octave of the rest.

Widths only grow with e, and every bin lies in one of those for a larger e. So a coarsened histogram is the one that would have
been counted with the coarser bins at once; as e depends on the extremes only, the result is the same however the elements are
cut, grouped and ordered. Products with powers of two and floors are exact.

Bins are numbered outwards from zero: J >= 0 on the positive side, -1 - J on the negative one, and with t = 128 (e + 134)

    J = the upper 16 bits of |x| as float32           where |x| < 2^(e+7), for which they are less than t
    J = floor(|x| 2^-e) - 128 + t                     elsewhere

Zeros are counted apart, because zero is represented exactly whatever the range, and with them what is below 2^-133.
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
OCTAVE = 128  # bins from any |x| to 2 |x|, near zero
_SHIFT = 16  # of the bits of a float32 that leaves so many
_FINEST = -126  # 2^e and 2^-e are ordinary float32 numbers
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
    while (wide := np.floor(np.ldexp(high, -found)) - np.floor(np.ldexp(low, -found)) >= BINS).any():
        found = found + wide
    return np.asarray(found, np.int64)


def turns(exponent: ArrayLike) -> NDArray[np.int64]:
    """t: the number of the first bin that is 2^e wide."""
    return OCTAVE * (np.asarray(exponent, np.int64) + 134)


def magnitude_bins(values: FloatArray, factor: ArrayLike, turn: ArrayLike) -> NDArray[np.int32]:
    """J of float32 values, elementwise, given 2^-e as float32 and t as int32; 0 for what counts as zero."""
    found = values.view(np.int32) & np.int32(0x7FFFFFFF)
    found >>= _SHIFT
    np.minimum(found, turn, out=found)
    with np.errstate(invalid="ignore"):  # NaN, as of a row that is masked as a whole, which a Where takes out behind it
        linear = np.abs(values * np.asarray(factor, np.float32)).astype(np.int32)
    np.maximum(linear, OCTAVE, out=linear)
    found += linear
    found -= OCTAVE
    return found


def bin_of(values: ArrayLike, exponent: int) -> Counts:
    """The number of the bin of each finite float32 value, as if none were zero."""
    array = np.asarray(values, np.float32)
    outwards = magnitude_bins(array.reshape(-1), np.float32(np.ldexp(1.0, -exponent)), np.int32(turns(exponent)))
    found = outwards.reshape(array.shape).astype(np.int64)
    return np.where(np.signbit(array), -1 - found, found)


def edge_of(bins: ArrayLike, exponent: int) -> Doubles:
    """The lower end of each bin, which is the upper end of the one before."""
    numbers = np.asarray(bins, np.int64)
    outwards, turn = np.abs(numbers), int(turns(exponent))
    near = (np.minimum(outwards, turn).astype(np.uint32) << _SHIFT).view(np.float32).astype(np.float64)
    far = np.ldexp((np.maximum(outwards - turn, 0) + OCTAVE).astype(np.float64), exponent)
    return np.copysign(np.where(outwards < turn, near, far), numbers)


@dataclass(frozen=True, eq=False)
class Histogram:
    """The numbers of the bins that are not empty, ascending, and how many elements each has. Compared by value."""

    exponent: int
    bins: Counts
    filled: Counts

    @classmethod
    def of(cls, values: FloatArray, exponent: int) -> Self:
        """The histogram of finite float32 values; what counts as zero is left out."""
        found = bin_of(values.reshape(-1), exponent)
        return cls.gathered(exponent, found[(found != 0) & (found != -1)])

    @classmethod
    def gathered(cls, exponent: int, bins: Counts, filled: Counts | None = None) -> Self:
        """A histogram from bins in any order, which may repeat, each with one element or as many as `filled` tells."""
        numbers, where = np.unique(bins, return_inverse=True)
        total = np.zeros(len(numbers), np.int64)
        np.add.at(total, where, 1 if filled is None else filled)
        return cls(exponent, numbers, total)

    @cached_property
    def edges(self) -> Doubles:
        """[k + 1], ascending: of the bins, and of the gaps between them where there are any."""
        return edge_of(np.unique(np.concatenate([self.bins, self.bins + 1])), self.exponent)

    @cached_property
    def counts(self) -> Counts:
        """[k]: the elements between one edge and the next; 0 in the gaps."""
        starts = np.unique(np.concatenate([self.bins, self.bins + 1]))[:-1]
        counts = np.zeros(len(starts), np.int64)
        counts[np.searchsorted(starts, self.bins)] = self.filled
        return counts

    @cached_property
    def widths(self) -> Doubles:
        """The widths [k] from one edge to the next."""
        return np.diff(self.edges)

    @cached_property
    def centres(self) -> Doubles:
        """The centres [k], half-way between the edges."""
        return (self.edges[:-1] + self.edges[1:]) / 2

    @cached_property
    def total(self) -> int:
        """Number of elements."""
        return int(self.filled.sum())

    def coarsened(self, exponent: int) -> Self:
        """The same elements in the bins of an exponent that is no less than now."""
        if exponent == self.exponent:
            return self
        negative = self.bins < 0
        ends = edge_of(np.where(negative, -1 - self.bins, self.bins), self.exponent)  # the ends towards zero
        found = bin_of(ends, exponent)
        return self.gathered(exponent, np.where(negative, -1 - found, found), self.filled)

    def merge(self, other: Self, exponent: int) -> Self:
        """The elements of both, in the bins of an exponent that is no less than either's."""
        a, b = self.coarsened(exponent), other.coarsened(exponent)
        return self.gathered(exponent, np.concatenate([a.bins, b.bins]), np.concatenate([a.filled, b.filled]))

    def to_json(self) -> dict[str, Any]:
        """Plain data, exact: the number of the first bin and the steps to the following ones, and what is in each."""
        return {"exponent": self.exponent, "bins": np.diff(self.bins, prepend=0).tolist(), "counts": self.filled.tolist()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError on other data."""
        exponent, steps, counts = data["exponent"], data["bins"], data["counts"]
        if type(exponent) is not int or not isinstance(steps, list) or not isinstance(counts, list):
            raise TypeError("a histogram has an exponent, a list of bins and a list of counts")
        if len(steps) != len(counts) or not _FINEST <= exponent < 128:
            raise ValueError("a histogram has as many counts as bins")
        if not all(type(count) is int and 0 < count < 1 << 62 for count in counts):
            raise ValueError("a count is a number above zero")
        if not all(type(step) is int and abs(step) < 1 << 32 for step in steps) or any(step <= 0 for step in steps[1:]):
            raise ValueError("the bins of a histogram ascend")
        return cls(exponent, np.cumsum(np.array(steps, np.int64)), np.array(counts, np.int64))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Histogram)
            and self.exponent == other.exponent
            and np.array_equal(self.bins, other.bins)
            and np.array_equal(self.filled, other.filled)
        )

    def __hash__(self) -> int:
        return hash((self.exponent, self.bins.tobytes(), self.filled.tobytes()))
