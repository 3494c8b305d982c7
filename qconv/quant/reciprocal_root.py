"""1 / standard deviation of a row of integers, in int32: what a layer normalization divides by.

For a row c of D integers, |c| <= 2^14.5, and P = 2^p >= D

    V  = sum((c^2 + P/2) // P) + e                    ~ variance D / P, below 2^30; e <= 2^28 is the epsilon of the norm
    i  = min over j = 0 .. 11 of V // 4^j + 192 j     V itself below 256; then the 192 buckets of 4^j from 64 4^j on
    r  = table[i]                                     ~ 2^F / sqrt(V P / D)

so that c r is the normalized row with F bits behind the point. Level j is the least between 64 4^j and 256 4^j: its neighbours
meet it there, and have four times and a fourth of its slope. The table has 2,368 entries and is off by one part in 256 at most,
by a part in 1,000 on average. F is the largest for which every c r is proved to fit in int32, over all entries; in 26 bits for
rows of up to 1,024, which leaves 5 or more to a factor behind it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LARGEST_ENTRY = 23_169  # of a row: its square is below 2^29
LARGEST_EPSILON = 1 << 28
LONGEST_ROW = 1 << 22  # elements
LONGEST_FREE_ROW = 1 << 14  # of longer ones, entries beyond 64 deviations are cut off, so that 24 bits are left behind the point
_BITS_OF_LONG_ROWS = 24
_SHORT_ROW = 1 << 10
_LARGEST_OF_SHORT_ROW = 3 << 24  # |c r|
LEVELS = 12
_DIRECT = 256  # so many V have an entry of their own
_BUCKETS = 192  # of every other level
_INT32 = 2**31


@dataclass(frozen=True)
class ReciprocalRoot:
    """The constants for rows of `size` integers: `table` [2368], `bits` behind the point of c r, `divisor` P, `largest` |c r|."""

    size: int
    divisor: int
    bits: int
    table: NDArray[np.int32]
    largest: int

    @property
    def cuts(self) -> bool:
        """Whether |c| has to be cut off at (2^31 - 1) // r."""
        return self.size > LONGEST_FREE_ROW

    @property
    def steps(self) -> NDArray[np.int32]:
        """The divisors 4^j of the levels."""
        return np.asarray([4**level for level in range(LEVELS)], np.int32)

    @property
    def starts(self) -> NDArray[np.int32]:
        """Where the levels begin in the table, less what their first V has passed."""
        return np.asarray([_BUCKETS * level for level in range(LEVELS)], np.int32)


def reciprocal_root(size: int) -> ReciprocalRoot:
    """The constants for rows of `size` integers; ValueError for rows of more than LONGEST_ROW."""
    if size > LONGEST_ROW:
        raise ValueError(f"a row of {size} elements is too long")
    divisor = 1 << max(size - 1, 1).bit_length()
    lowest, highest = _buckets()
    middle = np.maximum((lowest + highest) / 2.0, 1.0)
    entries = np.minimum(np.sqrt((highest + 0.5) * divisor), LARGEST_ENTRY)  # |c|^2 <= (V + 1/2) P
    cuts = size > LONGEST_FREE_ROW
    limit = _LARGEST_OF_SHORT_ROW if size <= _SHORT_ROW else _INT32
    for bits in range(_BITS_OF_LONG_ROWS if cuts else 30, 0, -1):
        table = np.rint(2.0**bits * math.sqrt(size / divisor) / np.sqrt(middle))
        largest = _INT32 - 1 if cuts else math.ceil(float(np.max(entries * table)))
        if table.max() < _INT32 and largest < limit:
            return ReciprocalRoot(size, divisor, bits, table.astype(np.int32), largest)
    raise AssertionError(f"there is no table for rows of {size} elements")


def _buckets() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The least and the greatest V of each entry."""
    numbers, first = np.arange(_DIRECT, dtype=np.float64), _DIRECT - _BUCKETS
    lows = [numbers, *(numbers[first:] * 4.0**level for level in range(1, LEVELS))]
    widths = [np.full(low.size, 4.0**level) for level, low in enumerate(lows)]
    return np.concatenate(lows), np.concatenate(lows) + np.concatenate(widths) - 1.0
