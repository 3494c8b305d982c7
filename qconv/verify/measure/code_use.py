"""Which of its codes a tensor uses, over some samples: 256 of them, or 65,536 where an input is read in 16 bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qconv.verify.measure.metrics import Array

BINS = 32
_BLOCK = 1 << 18  # codes: their copies in int64 stay near the processor


@dataclass(frozen=True)
class CodeUse:
    """How many codes occur, the shares in [0, 1] of the elements at the lowest and the highest code that occur in its range,
    and how many elements fall into each of 32 equal parts of the container.
    """

    used: int
    at_lowest: float
    at_highest: float
    bins: tuple[int, ...]

    @property
    def at_ends(self) -> float:
        """The share of the elements at either end."""
        return self.at_lowest + self.at_highest


class CodeMeter:
    """Counts codes; `lowest` and `highest` are the ends that the graph clips to."""

    def __init__(self, lowest: int, highest: int) -> None:
        self._lowest, self._highest = lowest, highest
        self._counts = np.zeros(0, np.int64)
        self._offset = 0

    def add(self, codes: Array) -> None:
        """One more tensor of codes, all of one type."""
        limits, flat = np.iinfo(codes.dtype), codes.reshape(-1)
        self._offset = int(limits.min)
        size = int(limits.max) - self._offset + 1
        if not self._counts.size:
            self._counts = np.zeros(size, np.int64)
        for start in range(0, flat.size, _BLOCK):
            block = flat[start : start + _BLOCK]
            unsigned = np.bincount(block.view(f"u{block.itemsize}"), minlength=size)
            self._counts += np.roll(unsigned, -self._offset)  # negative codes stand behind the others there

    def result(self) -> CodeUse:
        """What was counted."""
        if not self._counts.size:
            return CodeUse(0, 0.0, 0.0, (0,) * BINS)
        total = max(int(self._counts.sum()), 1)
        low, high = (float(self._counts[code - self._offset]) / total for code in (self._lowest, self._highest))
        bins = self._counts.reshape(BINS, -1).sum(1)
        return CodeUse(int((self._counts > 0).sum()), low, high, tuple(int(count) for count in bins))
