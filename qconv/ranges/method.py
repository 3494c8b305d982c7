"""What a calibration method is.

The laws, which tests hold all of them to: the range of a tensor lies within [min, max] of what was seen and is ordered; equal
summaries give equal ranges; a tensor of a constant, of zeros, or without elements has the range [min, max]. What asks for more
clipping never widens a range, as far as tests/ranges/test_more_clipping.py says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from qconv.quant.types import Scheme
from qconv.statistics.summary import Range, Summary


@dataclass(frozen=True)
class Choice:
    """A range, and the name of what chose it."""

    method: str
    range: Range


class Method(Protocol):
    """Chooses the range that quantization shall cover."""

    def __call__(self, summary: Summary, scheme: Scheme) -> Range:
        """(lo, hi) within [summary.lo, summary.hi]."""
        ...


def within(summary: Summary, lo: float, hi: float) -> Range:
    """The range, cut to what was seen."""
    lo = min(max(lo, summary.lo), summary.hi)
    return lo, max(min(hi, summary.hi), lo)
