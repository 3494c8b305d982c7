"""The bins of many tensors as the columns of one vector, so that one `bincount` serves them all.

Of each tensor there are the bins of the negative side, outermost first, a column for zeros, and the bins of the positive side.
BinLayout reach from the smallest magnitude that was seen to the extremes: the many bins nearer to zero need none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from qconv.quant.types import FloatArray
from qconv.statistics.histogram import Counts, Histogram, magnitude_bins, turns

UNSEEN = 1 << 32  # the innermost bin of a tensor of which nothing but zeros was seen

Numbers = NDArray[np.int64]
Magnitudes = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class BinLayout:
    """For each tensor, all [tensors]: e, J of the smallest magnitude, the column of zeros, and the column after its last."""

    exponent: Numbers
    innermost: Numbers
    zero: Numbers
    ends: Numbers

    @classmethod
    def reaching(cls, lo: FloatArray, hi: FloatArray, exponent: Numbers, innermost: Numbers) -> Self:
        """A layout that reaches to the extremes [tensors]."""
        factor, turn = _factors(exponent), turns(exponent).astype(np.int32)
        below, above = (
            np.where(extreme > 0, magnitude_bins(extreme, factor, turn) - innermost + 1, 0).clip(0) for extreme in (-lo, hi)
        )
        ends = np.cumsum(below + 1 + above)
        return cls(exponent, innermost, ends - above - 1, ends)

    def __len__(self) -> int:
        """The number of columns of all tensors."""
        return int(self.ends[-1]) if len(self.ends) else 0

    def equals(self, other: Self) -> bool:
        """Whether every column means the same."""
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__)

    def of(self, magnitudes: Magnitudes, elements: FloatArray, lengths: Numbers) -> Magnitudes:
        """The column of each element; all of one tensor, then of the next, as many as `lengths` tells."""
        inside = np.minimum(self.innermost, np.iinfo(np.int32).max).astype(np.int32) - np.int32(1)
        found = np.maximum(magnitudes - np.repeat(inside, lengths), 0)
        negative = elements.view(np.int32) >> 31  # all bits, or none
        found ^= negative
        found -= negative
        found += np.repeat(self.zero.astype(np.int32), lengths)
        return found

    def histogram(self, counts: Counts, tensor: int) -> tuple[Histogram, int]:
        """The histogram of a tensor, and its zeros."""
        start = int(self.ends[tensor - 1]) if tensor else 0
        own, zero, innermost = counts[start : self.ends[tensor]], int(self.zero[tensor]) - start, int(self.innermost[tensor])
        filled = np.flatnonzero(own)
        filled = filled[filled != zero]
        offset = filled - zero
        bins = np.where(offset > 0, offset - 1 + innermost, offset - innermost)
        return Histogram(int(self.exponent[tensor]), bins, own[filled]), int(own[zero])

    def place(self, histogram: Histogram, zeros: int, counts: Counts, tensor: int) -> None:
        """Adds what `histogram` tells to `counts`."""
        zero, innermost, bins = int(self.zero[tensor]), int(self.innermost[tensor]), histogram.bins
        counts[zero] += zeros
        counts[zero + np.where(bins < 0, bins + innermost, bins + 1 - innermost)] += histogram.filled


def magnitudes_of(elements: FloatArray, lengths: Numbers, exponent: Numbers) -> Magnitudes:
    """The magnitude J of every element."""
    turn = turns(exponent).astype(np.int32)
    return magnitude_bins(elements, np.repeat(_factors(exponent), lengths), np.repeat(turn, lengths))


def innermost_of(magnitudes: Magnitudes, lengths: Numbers) -> Numbers:
    """The smallest J above zero of each tensor, or UNSEEN."""
    found = np.full(len(lengths), UNSEEN, np.int64)
    filled = lengths > 0
    starts = (np.cumsum(lengths) - lengths)[filled]
    if len(starts):
        outward = (magnitudes - np.int32(1)).view(np.uint32)  # zero becomes the largest of all
        found[filled] = np.minimum.reduceat(outward, starts).astype(np.int64) + 1
    return found


def _factors(exponent: Numbers) -> FloatArray:
    factors: FloatArray = np.ldexp(np.float32(1), -exponent).astype(np.float32)
    return factors
