"""ACIQ: analytic clipping for Gaussian and Laplace distributions (Banner, Nahshan and Soudry 2019, arXiv 1810.05723).

With t the clipping point in units of the deviation, and M bits, the mean squared error of clipping both tails and of rounding is

    Laplace    2 exp(-t) + c t^2                        in units of b^2, b = E|x - mu|
    Gauss      2 (1 + t^2) Q(t) - 2 t phi(t) + c t^2    in units of sigma^2, Q the tail of the normal distribution

    c = 1 / (3 * 4^M) where both tails are clipped,   1 / (12 * 4^M) where one side is all there is, as after a Relu

(their equations 10 and 12). The minimum is where the derivative vanishes:

    Laplace    t exp(t) = 1 / c              Gauss    2 (phi(t) - t Q(t)) = c t

Both are monotone, and solved by bisection. Fewer bits clip more. Which distribution fits better is told by the likelihood of the
deviations that they give: Laplace where 2 e b < sqrt(2 pi e) sigma. A one-sided tensor is taken for one half of a distribution
about zero, its zeros left out: they are what the Relu cut off. So is one for a symmetric scheme, zeros included.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from qconv.quant.types import Scheme
from qconv.ranges.method import within
from qconv.statistics.summary import Range, Summary

_FARTHEST = 64.0  # deviations: no clipping at all in float32


def aciq(summary: Summary, scheme: Scheme) -> Range:
    """The analytic range about the mean, or from zero."""
    histogram = summary.histogram
    if not histogram.total or summary.lo == summary.hi:
        return summary.lo, summary.hi
    one_sided = summary.lo >= 0 or summary.hi <= 0
    if one_sided or scheme.symmetric:
        centres = histogram.centres
        total = histogram.total if one_sided else summary.elements
        middle = 0.0
        b = float(histogram.counts @ np.abs(centres)) / total
        sigma = math.sqrt(float(histogram.counts @ centres**2) / total)
    else:
        middle, b, sigma = summary.mean, summary.deviation, math.sqrt(summary.variance)
    reach = clipping_point(b, sigma, scheme.int_type.bits, one_sided=one_sided and not scheme.symmetric)
    return within(summary, middle - reach, middle + reach)


def clipping_point(b: float, sigma: float, bits: int, *, one_sided: bool) -> float:
    """The distance from the middle at which to clip; `b` and `sigma` as above, both positive."""
    c = 1.0 / ((12 if one_sided else 3) * 4.0**bits)
    if 2 * math.e * b < math.sqrt(2 * math.pi * math.e) * sigma:
        return b * _root(lambda t: 1.0 / c - t * math.exp(t))
    return sigma * _root(lambda t: 2 * (_phi(t) - t * _tail(t)) - c * t)


def _root(falling: Callable[[float], float]) -> float:
    low, high = 0.0, _FARTHEST
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return low


def _phi(t: float) -> float:
    return math.exp(-t * t / 2) / math.sqrt(2 * math.pi)


def _tail(t: float) -> float:
    return math.erfc(t / math.sqrt(2)) / 2
