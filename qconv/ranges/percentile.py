"""Percentile: leaves out the same small share of the elements at either end.

With N elements, zeros included, and the share s = (1 - percent / 100) / 2, the range reaches from the element of rank
floor(s N) + 1 to that of rank N - floor(s N), counted from 1, and from there to the outer edge of their bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from qconv.errors import UsageError
from qconv.quant.types import Scheme
from qconv.ranges.method import within
from qconv.statistics.summary import Range, Summary

PERCENT = 99.99


@dataclass(frozen=True)
class Percentile:
    """Keeps `percent` of the elements. Raises UsageError unless it lies above 0 and is at most 100."""

    percent: float

    def __post_init__(self) -> None:
        if not 0.0 < self.percent <= 100.0:
            raise UsageError(f"--percentile takes a number above 0 and at most 100, not {self.percent}")

    def __call__(self, summary: Summary, scheme: Scheme) -> Range:
        """The percentiles, whatever the scheme."""
        cut = int(summary.elements * (1 - Fraction(str(self.percent)) / 100) / 2)
        if cut == 0:
            return summary.lo, summary.hi
        lower, upper = _points(summary)
        counts = _counts(summary)
        below = np.cumsum(counts)
        lo = lower[np.searchsorted(below, cut, side="right")]
        hi = upper[np.searchsorted(below, summary.elements - cut, side="left")]
        return within(summary, float(lo), float(hi))


def _counts(summary: Summary) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The counts of all bins, with the zeros in between as a bin of their own."""
    return np.insert(summary.histogram.counts, _zero(summary), summary.zeros)


def _points(summary: Summary) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], ...]:
    """The lower and the upper edges of these bins."""
    edges = summary.histogram.edges
    return np.insert(edges[:-1], _zero(summary), 0.0), np.insert(edges[1:], _zero(summary), 0.0)


def _zero(summary: Summary) -> int:
    """The number of bins below zero."""
    return int(np.searchsorted(summary.histogram.edges[:-1], 0.0))
