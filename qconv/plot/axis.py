"""The axis of a tensor's values: linear, unless an outlier would squeeze what matters into a sliver.

With [a, b] the middle 99 % of the elements and u = (x - (a + b) / 2) / ((b - a) / 2), a value x lies at

    t(x) = K u                              where |u| <= 1
    t(x) = sign(u) (K + log10 |u|)          beyond

scaled to the picture. K gives [a, b] 60 % of the axis. A linear axis is one with [a, b] = [lo, hi].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import ArrayLike, NDArray

from qconv.plot.text import number
from qconv.statistics.summary import Range, Summary

MIDDLE = 0.99  # of the elements other than zero
SLIVER = 0.05  # of a linear axis
MARGIN = 0.02  # of the axis, left free at both ends
_LETTER, _APART = 0.0125, 0.02  # of the axis: a letter of a label, and the least space between two labels
DIGITS = 6  # of labels
_STEPS = 6
_DECADES = 12

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """An axis from `lo` to `hi`, lo < hi, linear in `middle` and logarithmic beyond."""

    lo: float
    hi: float
    middle: Range

    @property
    def linear(self) -> bool:
        """Whether it is so from end to end."""
        return self.middle == (self.lo, self.hi)

    def place(self, x: ArrayLike) -> Doubles:
        """Where values lie, elementwise; 0 is the left end and 1 the right one, and what is off the axis lies beyond."""
        left, right = self._stretched(np.array([self.lo, self.hi]))
        found: Doubles = MARGIN + (1 - 2 * MARGIN) * (self._stretched(np.asarray(x, np.float64)) - left) / (right - left)
        return found

    @cached_property
    def ticks(self) -> list[float]:
        """Round numbers on the axis, far enough apart to be labelled; zero and the middle come first."""
        zero = [0.0] if self.lo <= 0 <= self.hi else []
        beyond = [] if self.linear else _powers_of_ten(self.lo, self.hi)
        kept: list[float] = []
        for tick in (*zero, *_round_numbers(*self.middle), *beyond):
            if all(self._legible(tick, other) for other in kept):
                kept.append(tick)
        return sorted(kept)

    def _legible(self, one: float, other: float) -> bool:
        letters = (len(number(one, DIGITS)) + len(number(other, DIGITS))) / 2
        return abs(float(self.place(one) - self.place(other))) > letters * _LETTER + _APART

    def _stretched(self, x: Doubles) -> Doubles:
        u = self._units(x)
        far = np.maximum(np.abs(u), 1.0)
        return np.where(far > 1.0, np.sign(u) * (self._share + np.log10(far)), self._share * u)

    def _units(self, x: Doubles) -> Doubles:
        a, b = self.middle
        return (x - (a / 2 + b / 2)) / (b / 2 - a / 2)

    @cached_property
    def _share(self) -> float:
        """K: 2 K is 1.5 times the decades beyond the middle."""
        if self.linear:
            return 1.0
        ends = np.abs(self._units(np.array([self.lo, self.hi])))
        return 0.75 * float(np.log10(np.maximum(ends, 1.0)).sum())


def axis_of(summary: Summary, reach: Range) -> Axis:
    """The axis that shows all of `reach`, which holds the extremes of the tensor."""
    lo, hi = reach
    if lo == hi:
        pad = abs(lo) / 2 or 1.0
        lo, hi = lo - pad, hi + pad
    a, b = _middle(summary)
    a, b = max(a, lo), min(b, hi)
    squeezed = summary.lo < summary.hi and 0 < b - a < SLIVER * (hi - lo)
    return Axis(lo, hi, (a, b) if squeezed else (lo, hi))


def _middle(summary: Summary) -> Range:
    """The edges of the bins between which the middle elements lie."""
    counts, edges = summary.histogram.counts, summary.histogram.edges
    if not counts.sum():
        return -math.inf, math.inf
    below = np.cumsum(counts) / counts.sum()
    first, last = np.searchsorted(below, [(1 - MIDDLE) / 2, (1 + MIDDLE) / 2])
    return float(edges[first]), float(edges[last + 1])


def _round_numbers(lo: float, hi: float) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten between two numbers."""
    ticks = MaxNLocator(_STEPS, steps=[1, 2, 5, 10]).tick_values(lo, hi)
    return [float(tick) for tick in ticks if lo <= tick <= hi]


def _powers_of_ten(lo: float, hi: float) -> list[float]:
    """Powers of ten of both signs between two numbers, the largest first, as far as they can be told apart."""
    largest = max(abs(lo), abs(hi))
    ticks = LogLocator(numticks=_DECADES).tick_values(largest * 10.0**-_DECADES, largest)[::-1]
    return [float(sign * tick) for tick in ticks for sign in (1, -1) if lo <= sign * tick <= hi]
