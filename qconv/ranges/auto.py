"""Auto, as far as a histogram goes: a guess, for tensors without samples at hand. With samples, qconv/ranges/search measures.

1. Above 6 bits, min-max stands unless its range is more than 4^(bits - 6) times as wide as that of percentile: 16 times at 8
   bits, where rounding is seldom what hurts.
2. Light tails, that is a mean absolute deviation of at least `HEAVY` standard deviations (uniform 0.87, Gauss 0.80, Laplace
   0.71): the candidate of least mean squared error.
3. Heavy tails: entropy. A squared error spends all codes on the few elements far out, which carry everything in one network and
   nothing in another; a histogram cannot tell which.

Deviations are those about the mean; of a one-sided tensor, of the elements that are not zero. EMA is no candidate, because it
depends on the order of the samples. Tensors whose elements a user reads, outputs above all, keep their extremes: the largest
score decides, and clipping makes the largest ones equal (qconv/plan/outcomes.py tells which they are).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from qconv.quant.types import Scheme
from qconv.ranges.aciq import aciq
from qconv.ranges.entropy import entropy
from qconv.ranges.method import Choice, Method
from qconv.ranges.minmax import minmax
from qconv.ranges.mse import mse
from qconv.ranges.percentile import PERCENT, Percentile
from qconv.ranges.quantization_error import mean_squared_errors
from qconv.statistics.summary import Range, Summary

HEAVY = 0.72
WIDER_PER_BIT = 4.0  # above 6 bits
CANDIDATES: Mapping[str, Method] = {
    "minmax": minmax,
    "percentile": Percentile(PERCENT),
    "entropy": entropy,
    "mse": mse,
    "aciq": aciq,
}


def auto(summary: Summary, scheme: Scheme) -> Range:
    """The range that `choose` chooses."""
    return choose(summary, scheme).range


def choose(summary: Summary, scheme: Scheme) -> Choice:
    """The guess; the first of equals, min-max before all."""
    if _stands(summary, scheme):
        return Choice("minmax", minmax(summary, scheme))
    if tail(summary) < HEAVY:
        return Choice("entropy", entropy(summary, scheme))
    ranges = {name: method(summary, scheme) for name, method in CANDIDATES.items()}
    lo, hi = (np.array([found[end] for found in ranges.values()]) for end in (0, 1))
    best = list(ranges)[int(np.argmin(mean_squared_errors(summary, lo, hi, scheme)))]
    return Choice(best, ranges[best])


def _stands(summary: Summary, scheme: Scheme) -> bool:
    """Whether the range of all values stands, as it is not much wider than the usual one."""
    widest, usual = (hi - lo for lo, hi in (minmax(summary, scheme), CANDIDATES["percentile"](summary, scheme)))
    more_bits = scheme.int_type.bits - 6
    return usual <= 0 or (more_bits > 0 and widest <= usual * WIDER_PER_BIT**more_bits)


def tail(summary: Summary) -> float:
    """Mean absolute deviation over standard deviation; the smaller, the heavier the tails."""
    if summary.lo < 0 < summary.hi:
        deviation, variance = summary.deviation, summary.variance
    else:
        shares, centres = summary.histogram.counts / summary.histogram.total, summary.histogram.centres
        offset = centres - shares @ centres
        deviation, variance = float(shares @ np.abs(offset)), float(shares @ offset**2)
    return deviation / math.sqrt(variance) if variance > 0 else 1.0
