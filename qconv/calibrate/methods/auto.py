"""Auto: for each tensor the range, among those of the methods, of the least error as measured on the tensor's histogram.

1. Light tails, that is a mean absolute deviation of at least `HEAVY` standard deviations (uniform 0.87, Gauss 0.80, Laplace
   0.71): the mean squared error.
2. Heavy tails: the mean of e^2 / (x^2 + tau^2), with tau = E|x| / 2. A few elements far out then cost what they are in number,
   not the square of how far they are out: the many small ones carry what the next layer tells apart. A mean squared error would
   spend all codes on the few.
3. Min-max stands unless its error is more than 1.3 * 8^max(bits - 6, 0) times another's. Clipping has risks that no histogram
   shows, and at 8 bits rounding is seldom what hurts: only gross outliers are clipped there.

Deviations are those about the mean; of a one-sided tensor, of the elements that are not zero. EMA is no candidate, because it
depends on the order of the samples. Tensors whose elements a user reads, outputs above all, keep their extremes: the largest
score decides, and clipping makes the largest ones equal (qconv/plan/outcomes.py tells which they are).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from qconv.calibrate.histogram import Doubles
from qconv.calibrate.methods.aciq import aciq
from qconv.calibrate.methods.entropy import entropy
from qconv.calibrate.methods.method import Choice, Method, Range
from qconv.calibrate.methods.minmax import minmax
from qconv.calibrate.methods.mse import mse
from qconv.calibrate.methods.percentile import PERCENT, Percentile
from qconv.calibrate.quantization_error import mean_squared_errors
from qconv.calibrate.summary import Summary
from qconv.quant.types import Scheme

HEAVY = 0.72
GAIN = 1.3
GAIN_PER_BIT = 8.0  # above 6 bits
CANDIDATES: Mapping[str, Method] = {
    "minmax": minmax,
    "percentile": Percentile(PERCENT),
    "entropy": entropy,
    "mse": mse,
    "aciq": aciq,
}


def auto(summary: Summary, scheme: Scheme) -> Range:
    """The range of `choose`."""
    return choose(summary, scheme).range


def choose(summary: Summary, scheme: Scheme) -> Choice:
    """The candidate of the least error; the first of equals, min-max before all."""
    if not summary.histogram.total or summary.lo == summary.hi:
        return Choice("minmax", minmax(summary, scheme))
    ranges = {name: method(summary, scheme) for name, method in CANDIDATES.items()}
    lo, hi = (np.array([found[end] for found in ranges.values()]) for end in (0, 1))
    importance = _importance(summary) if tail(summary) < HEAVY else None
    errors = mean_squared_errors(summary, lo, hi, scheme, importance)
    errors[1:] *= GAIN * GAIN_PER_BIT ** max(scheme.int_type.bits - 6, 0)
    best = list(ranges)[int(np.argmin(errors))]
    return Choice(best, ranges[best])


def tail(summary: Summary) -> float:
    """Mean absolute deviation over standard deviation; the smaller, the heavier the tails."""
    if summary.lo < 0 < summary.hi:
        deviation, variance = summary.deviation, summary.variance
    else:
        shares, centres = summary.histogram.counts / summary.histogram.total, summary.histogram.centres
        offset = centres - shares @ centres
        deviation, variance = float(shares @ np.abs(offset)), float(shares @ offset**2)
    return deviation / math.sqrt(variance) if variance > 0 else 1.0


def _importance(summary: Summary) -> Doubles:
    """1 / (x^2 + tau^2) at the centre of each bin."""
    counts, centres = summary.histogram.counts, summary.histogram.centres
    tau = float(counts @ np.abs(centres)) / summary.histogram.total / 2
    found: Doubles = 1.0 / (centres**2 + tau**2)
    return found
