"""Second moments of what a layer reads in the float network: exact sums, which add up over samples, shards and machines.

    steps = rint(x / 2^exponent), in int16        count   n, rows
                                                  total   sum steps             [G, K]
                                                  gram    sum steps' steps      [G, K, K]

A row is what one output position sees of x; G counts groups. The exponent comes from the first samples of the whole set, and
leaves room for values eight times as large; what lies further out is cut, and counted in `cut`. All sums are whole numbers.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qconv.errors import ArtifactError
from qconv.quant.types import FloatArray

Int64Array = NDArray[np.int64]
BITS = 12  # of a value as large as the largest of the first samples
_LEAST_EXPONENT, _MOST_EXPONENT = -100, 100
_ENDS = np.iinfo(np.int16)
_EXACT_ROWS = 1 << 22  # so many products of two int16 add up exactly in float64


@dataclass(frozen=True)
class SecondMoments:
    """The sums of one layer, or of several that see the same rows; the shapes are those above."""

    exponent: int
    count: int
    cut: int
    total: Int64Array
    gram: Int64Array

    def merge(self, other: SecondMoments) -> SecondMoments:
        """The sums over the rows of both. Raises ArtifactError where their steps differ."""
        if self.exponent != other.exponent or self.gram.shape != other.gram.shape:
            raise ArtifactError(
                "second moments of different steps cannot be added up; take them over one and the same set of samples"
            )
        return SecondMoments(
            self.exponent, self.count + other.count, self.cut + other.cut, self.total + other.total, self.gram + other.gram
        )

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean of x, [G, K]; zeros where there are no rows."""
        return np.asarray(self.total * (2.0**self.exponent / max(self.count, 1)))

    @property
    def square(self) -> NDArray[np.float64]:
        """The mean of x'x, [G, K, K]; zeros where there are no rows."""
        return np.asarray(self.gram * (4.0**self.exponent / max(self.count, 1)))


def exponent_for(largest: float) -> int:
    """The power of two of a step for values that are about as large as `largest`."""
    if not 0.0 < largest < math.inf:
        return -BITS
    return min(max(math.ceil(math.log2(largest)) - BITS, _LEAST_EXPONENT), _MOST_EXPONENT)


def steps_of(x: FloatArray, exponent: int) -> tuple[NDArray[np.int16], int]:
    """x in steps of 2^exponent, and how many of its elements are cut."""
    steps = np.rint(x.astype(np.float64) * 2.0**-exponent)
    inside = np.clip(steps, _ENDS.min, _ENDS.max)
    return inside.astype(np.int16), int(np.count_nonzero(inside != steps))


class Sums:
    """Adds rows up, in place. Its memory is that of the sums; `on_disk` keeps them in a file that ends with the process."""

    def __init__(self, exponent: int, groups: int, columns: int, *, on_disk: bool = False) -> None:
        self._exponent, self._count, self._cut = exponent, 0, 0
        self._total = np.zeros((groups, columns), np.int64)
        self._gram = _zeros((groups, columns, columns)) if on_disk else np.zeros((groups, columns, columns), np.int64)

    def add(self, rows: NDArray[np.int16], cut: int) -> None:
        """Rows [G, R, K] of steps; `cut` elements of the tensor that they are from were cut."""
        self._count, self._cut = self._count + rows.shape[1], self._cut + cut
        self._total += rows.sum(axis=1, dtype=np.int64)
        for start in range(0, rows.shape[1], _EXACT_ROWS):
            part = rows[:, start : start + _EXACT_ROWS].astype(np.float64)
            for group, seen in enumerate(part):
                self._gram[group] += (seen.T @ seen).astype(np.int64)

    def moments(self) -> SecondMoments:
        """The sums so far; they share the memory of this object."""
        return SecondMoments(self._exponent, self._count, self._cut, self._total, self._gram)


def _zeros(shape: tuple[int, ...]) -> Int64Array:
    """An array in a temporary file, which the system writes out where memory is short."""
    with tempfile.TemporaryFile(prefix="qconv-") as stream:  # whose file the array keeps
        return np.memmap(stream, np.int64, "w+", shape=shape)
