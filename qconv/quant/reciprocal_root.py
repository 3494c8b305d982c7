"""1 / standard deviation of a row of integers, in int32: what a layer normalization divides by.

For a row c of D integers, |c| <= E, and P a power of two

    V  = sum((c^2 + P/2) // P) + e                    ~ variance D / P, below 2^31; e <= 2^28 is the epsilon of the norm
    i  = min over j = 0 .. 12 of V // 4^j + 192 j     V itself below 256; then the 192 buckets of 4^j from 64 4^j on
    r  = table[i]                                     ~ 2^F / sqrt(V P / D)

so that c r is the normalized row with F bits behind the point. Level j is the least between 64 4^j and 256 4^j: its neighbours
meet it there, and have four times and a fourth of its slope. The table has 2,560 entries and is off by one part in 256 at most,
by a part in 1,000 on average.

Rows of up to 1,024 elements are summed in B equal blocks of 96 elements at most, and the sums are divided, not the squares:

    V  = sum(sum(c^2 of a block) // P) + e            E = 4,423 and more, where codes have 255; P = 1 for one block

F leaves 7 bits and more to a factor behind it. Other rows have P >= D, E = 2^14.5, and the largest F for which every c r is
proved to fit in int32, over all entries.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LARGEST_OF_LONG_ROW = 23_169  # its square is below 2^29
LARGEST_EPSILON = 1 << 28
LONGEST_ROW = 1 << 22  # elements
LONGEST_FREE_ROW = 1 << 14  # of longer ones, entries beyond 64 deviations are cut off, so that 24 bits are left behind the point
_BITS_OF_LONG_ROWS = 24
_SHORT_ROW = 1 << 10
_BLOCK = 96  # elements
_LARGEST_OF_SHORT_ROW = 3 << 22  # |c r|
LEVELS = 13
_DIRECT = 256  # so many V have an entry of their own
_BUCKETS = 192  # of every other level
_INT32 = 2**31


@dataclass(frozen=True)
class ReciprocalRoot:
    """The constants for rows of `size` integers up to `entry`: `table` [2560], `bits` F, `divisor` P, `largest` |c r|.

    `blocks` is None for a row that is long, or that has no few equal parts.
    """

    size: int
    blocks: int | None
    entry: int
    divisor: int
    bits: int
    table: NDArray[np.int32]
    largest: int

    @property
    def cuts(self) -> bool:
        """Whether |c| has to be cut off at (2^31 - 1) // r."""
        return self.size > LONGEST_FREE_ROW

    @property
    def ones(self) -> NDArray[np.int32]:
        """The matrix [size, blocks] whose product with a row of squares has the sums of its blocks."""
        return block_ones(self.size, self.blocks or 1)

    @property
    def steps(self) -> NDArray[np.int32]:
        """The divisors 4^j of the levels."""
        return np.asarray([4**level for level in range(LEVELS)], np.int32)

    @property
    def starts(self) -> NDArray[np.int32]:
        """Where the levels begin in the table, less what their first V has passed."""
        return np.asarray([_BUCKETS * level for level in range(LEVELS)], np.int32)


def block_ones(size: int, blocks: int) -> NDArray[np.int32]:
    """The matrix [size, blocks] of ones and zeros that sums equal blocks of a row."""
    return np.repeat(np.eye(blocks, dtype=np.int32), size // blocks, axis=0)


def sums_blocks(matrix: NDArray[np.generic]) -> bool:
    """Whether a product with `matrix` sums equal blocks of a row."""
    size, blocks = matrix.shape
    return size % blocks == 0 and np.array_equal(matrix, block_ones(size, blocks))


def reciprocal_root(size: int) -> ReciprocalRoot:
    """The constants for rows of `size` integers; ValueError for rows of more than LONGEST_ROW."""
    if size > LONGEST_ROW:
        raise ValueError(f"a row of {size} elements is too long")
    blocks = _blocks(size) if size <= _SHORT_ROW else None
    divisor = _divisor_of_blocks(blocks) if blocks else 1 << max(size - 1, 1).bit_length()
    entry = _largest_entry(size // blocks) if blocks else _LARGEST_OF_LONG_ROW
    lowest, highest = _buckets()
    middle = np.maximum((lowest + highest) / 2.0, 1.0)
    entries = np.minimum(np.sqrt((highest + 1) * divisor), entry)  # |c|^2 < (V + 1) P
    cuts = size > LONGEST_FREE_ROW
    limit = _LARGEST_OF_SHORT_ROW if blocks else _INT32
    for bits in range(_BITS_OF_LONG_ROWS if cuts else 30, 0, -1):
        table = np.rint(2.0**bits * math.sqrt(size / divisor) / np.sqrt(middle))
        largest = _INT32 - 1 if cuts else math.ceil(float(np.max(entries * table)))
        if table.max() < _INT32 and largest < limit:
            return ReciprocalRoot(size, blocks, entry, divisor, bits, table.astype(np.int32), largest)
    raise AssertionError(f"there is no table for rows of {size} elements")


def _blocks(size: int) -> int | None:
    """The least number of equal blocks of a row that are short enough; None where they are shorter than a third of that."""
    count = next(count for count in range(-(-size // _BLOCK), size + 1) if size % count == 0)
    return count if count == 1 or size // count * 3 >= _BLOCK else None


def _divisor_of_blocks(blocks: int) -> int:
    """The least power of two that leaves an eighth of int32 beside all sums of blocks for the epsilon."""
    return 1 if blocks == 1 else 1 << (8 * blocks // 7).bit_length()


def _largest_entry(size: int) -> int:
    """The greatest entry of which `size` squares and an epsilon fit in int32; for a few, 2^14.5 is enough."""
    return min(math.isqrt((_INT32 - 1 - LARGEST_EPSILON) // size), _LARGEST_OF_LONG_ROW)


def _buckets() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The least and the greatest V of each entry."""
    numbers, first = np.arange(_DIRECT, dtype=np.float64), _DIRECT - _BUCKETS
    lows = [numbers, *(numbers[first:] * 4.0**level for level in range(1, LEVELS))]
    widths = [np.full(low.size, 4.0**level) for level, low in enumerate(lows)]
    return np.concatenate(lows), np.concatenate(lows) + np.concatenate(widths) - 1.0
