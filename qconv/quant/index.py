"""A table of a function over wide integers: which entry an integer u in [0, most] has.

Steps of 2^s are fine where the function is steep, and coarse where it is flat. The stretches [p, q) have steps of their own,
q - p a multiple of 2^s, and

    entry(u) = sum over all stretches of (clip(u, p, q) - p) >> s

for stretches below u are passed as a whole, and those above it not begun.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

_FIRST = 6  # the first stretch has 2^6 integers
_OCTAVES = 3  # of the others
_SAMPLES = 1024  # of each stretch, by which its steepness is known
_CLOSE = 0.5  # what an entry may differ from the next, in codes, where there is room
_MOST = 1 << 16  # entries


@dataclass(frozen=True)
class Stretch:
    """The integers [first, end) in steps of 2^shift."""

    first: int
    end: int
    shift: int

    @property
    def entries(self) -> int:
        """The number of its steps."""
        return (self.end - self.first) >> self.shift


def stretches(codes: Callable[[Doubles], Doubles], most: int) -> list[Stretch]:
    """Stretches for the integers 0 .. most, in which `codes`, a function of integers in steps of its output, varies little."""
    edges = [0, *(1 << bits for bits in range(_FIRST, 31, _OCTAVES) if 1 << bits <= most), most + 1]
    pairs = [(first, end, _jump(codes, first, end)) for first, end in pairwise(edges) if first < end]
    close = _CLOSE
    while True:
        found = _joined([_stretch(first, end, jump, close) for first, end, jump in pairs])
        if sum(stretch.entries for stretch in found) <= _MOST:
            return found
        close *= 2.0


def middles(found: list[Stretch]) -> Doubles:
    """The middle of the integers of each entry."""
    parts = [
        s.first + np.arange(s.entries, dtype=np.float64) * (1 << s.shift) + ((1 << s.shift) - 1) / 2 for s in found
    ]  # fmt: skip
    return np.concatenate(parts)


def _jump(codes: Callable[[Doubles], Doubles], first: int, end: int) -> float:
    """What the function changes at most for one integer, as far as samples show."""
    places = np.linspace(first, end - 1, min(_SAMPLES, end - first))
    values = codes(places)
    if len(places) < 2:
        return 0.0
    change = np.abs(np.diff(values)) / np.diff(places)
    return float(np.max(change, initial=0.0, where=np.isfinite(change)))


def _stretch(first: int, end: int, jump: float, close: float) -> Stretch:
    widest = min(max(first, 1 << _FIRST), end - first).bit_length() - 1
    shift = widest if jump <= 0 else min(widest, max(0, math.floor(math.log2(close / jump))))
    step = 1 << shift
    return Stretch(first, first + -(-(end - first) // step) * step, shift)


def _joined(found: list[Stretch]) -> list[Stretch]:
    """Neighbours of equal steps as one."""
    result: list[Stretch] = []
    for stretch in found:
        if result and result[-1].shift == stretch.shift:
            result[-1] = Stretch(result[-1].first, stretch.end, stretch.shift)
        else:
            result.append(stretch)
    return result
