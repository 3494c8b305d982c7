"""1 / standard deviation of a row of integers, in int32: what a layer normalization divides by.

For a row c of D integers, |c| <= 2^14.5, and P = 2^p >= D

    V  = sum((c^2 + P/2) // P) + e                    ~ variance D / P, below 2^30; e <= 2^28 is the epsilon of the norm
    n  = the number of 4^i <= V for i = 1 .. 14       V 4^(14 - n) lies in [2^28, 2^30)
    r  = table[V 4^(14 - n) // 2^20] 2^(14 - n)       ~ 2^F / sqrt(V P / D)

so that c r is the normalized row with F bits behind the point. The table has 1,024 entries and is off by one part in 1,024 at
most, by a part in 4,000 on average. F is the largest for which every c r is proved to fit in int32, over all entries.
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
STEPS = 14  # powers of four
BUCKET = 1 << 20
_BUCKETS = 1024
_LOWEST = 256  # of the buckets of a number in [2^28, 2^30)
_INT32 = 2**31


@dataclass(frozen=True)
class ReciprocalRoot:
    """The constants for rows of `size` integers: `table` [1024], `bits` behind the point of c r, `divisor` P."""

    size: int
    divisor: int
    bits: int
    table: NDArray[np.int32]

    @property
    def cuts(self) -> bool:
        """Whether |c| has to be cut off at (2^31 - 1) // r."""
        return self.size > LONGEST_FREE_ROW

    @property
    def thresholds(self) -> NDArray[np.int32]:
        """The thresholds 4^i for i = 1 .. 14."""
        return np.asarray([4**i for i in range(1, STEPS + 1)], np.int32)

    @property
    def squares(self) -> NDArray[np.int32]:
        """The factors 4^(14 - n) by n."""
        return np.asarray([4 ** (STEPS - n) for n in range(STEPS + 1)], np.int32)

    @property
    def powers(self) -> NDArray[np.int32]:
        """The factors 2^(14 - n) by n."""
        return np.asarray([2 ** (STEPS - n) for n in range(STEPS + 1)], np.int32)

    @property
    def largest(self) -> int:
        """What |c r| cannot pass, whatever the row: |c|^2 <= (V + 1/2) P."""
        return _INT32 - 1 if self.cuts else max(self._largest(n) for n in range(STEPS + 1))

    def _largest(self, n: int) -> int:
        """The bound over all V between 4^n and 4^(n + 1), or below 4."""
        index = np.arange(_BUCKETS)
        highest = (index + 1) * float(BUCKET) / 4.0 ** (STEPS - n)
        entries = np.minimum(np.sqrt((highest + 0.5) * self.divisor), LARGEST_ENTRY)
        reached = index >= _LOWEST if n else index >= 0
        return int(np.ceil((entries * self.table.astype(np.float64))[reached].max() * 2.0 ** (STEPS - n)))


def reciprocal_root(size: int) -> ReciprocalRoot:
    """The constants for rows of `size` integers; ValueError for rows of more than LONGEST_ROW."""
    if size > LONGEST_ROW:
        raise ValueError(f"a row of {size} elements is too long")
    divisor = 1 << max(size - 1, 1).bit_length()
    middle = (np.maximum(np.arange(_BUCKETS), _LOWEST) + 0.5) * BUCKET
    for bits in range(_BITS_OF_LONG_ROWS if size > LONGEST_FREE_ROW else 30, 0, -1):
        exact = 2.0**bits * math.sqrt(size / divisor) / np.sqrt(middle)
        if exact.max() * 2.0**STEPS < _INT32:
            found = ReciprocalRoot(size, divisor, bits, np.rint(exact).astype(np.int32))
            if found.largest < _INT32:
                return found
    raise AssertionError(f"there is no table for rows of {size} elements")
