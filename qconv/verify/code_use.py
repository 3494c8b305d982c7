"""Which codes of its 256 a tensor uses, over some samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qconv.verify.metrics import Array

_CODES = 256
BINS = 32


@dataclass(frozen=True)
class CodeUse:
    """How many codes occur, the shares in [0, 1] of the elements at the lowest and the highest code that occur in its range,
    and how many elements fall into each of 32 equal parts of the container.
    """

    used: int
    at_lowest: float
    at_highest: float
    bins: tuple[int, ...]


class CodeMeter:
    """Counts codes; `lowest` and `highest` are the ends that the graph clips to."""

    def __init__(self, lowest: int, highest: int) -> None:
        self._lowest, self._highest = lowest, highest
        self._counts = np.zeros(_CODES, np.int64)
        self._offset = 0

    def add(self, codes: Array) -> None:
        """One more tensor of int8 or uint8."""
        self._offset = int(np.iinfo(codes.dtype).min)
        self._counts += np.bincount(codes.reshape(-1).astype(np.int64) - self._offset, minlength=_CODES)

    def result(self) -> CodeUse:
        """What was counted."""
        total = max(int(self._counts.sum()), 1)
        low, high = (float(self._counts[code - self._offset]) / total for code in (self._lowest, self._highest))
        bins = self._counts.reshape(BINS, -1).sum(1)
        return CodeUse(int((self._counts > 0).sum()), low, high, tuple(int(count) for count in bins))
