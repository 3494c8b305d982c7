"""Min-max: the smallest and the largest value ever seen. Clips nothing, whatever it costs in rounding."""

from __future__ import annotations

from qconv.quant.types import Scheme
from qconv.statistics.summary import Range, Summary


def minmax(summary: Summary, scheme: Scheme) -> Range:
    """The extremes, whatever the scheme."""
    return summary.lo, summary.hi
