"""How the float values of a tensor are spread, from its calibration, and which range the integer model has for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qconv.quant.types import QuantParams
from qconv.statistics.summary import Summary

_BARS = 48


@dataclass(frozen=True)
class Spread:
    """Square roots of counts in equal parts from `low` to `high`; `chosen` is the range of the codes, as shares of that width.

    Roots show tails beside the peak at zero that most tensors have. `chosen` is None where channels have ranges of their own.
    """

    bins: tuple[int, ...]
    low: float
    high: float
    chosen: tuple[float, float] | None


def spread_of(summary: Summary, params: QuantParams | None) -> Spread | None:
    """The spread of what calibration saw; None for a tensor without elements or with a single value."""
    low, high = summary.lo, summary.hi
    if not summary.elements or not high > low:
        return None
    edges = np.linspace(low, high, _BARS + 1)
    within = np.concatenate([[0.0], np.cumsum(summary.histogram.counts)])
    counts = np.diff(np.interp(edges, summary.histogram.edges, within))
    if low <= 0 <= high:
        counts[min(int((0 - low) / (high - low) * _BARS), _BARS - 1)] += summary.zeros
    bins = tuple(round(float(root)) for root in 100 * np.sqrt(counts))
    if params is None or params.scale.ndim:
        return Spread(bins, low, high, None)
    ends = [min(max((float(end) - low) / (high - low), 0.0), 1.0) for end in params.ends]
    return Spread(bins, low, high, (ends[0], ends[1]))
