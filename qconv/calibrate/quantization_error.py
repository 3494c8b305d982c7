"""The mean squared error of quantizing a tensor, rounding and clipping together, exactly from its histogram.

Let the elements of a bin be spread evenly over it. With the scale S, codes k in [k_min, k_max] and u = x / S, the error
of x is S^2 (u - k)^2 with k = clip(rint(u), k_min, k_max). Its antiderivative is

    G(x) = S^3 (k / 12 + (u - k)^3 / 3)

which is continuous, also where clipping begins; so with the edges x_j, the densities d_j = c_j / (x_j+1 - x_j) of the counts c_j
of the bins [x_j, x_j+1), and N elements, summing by parts,

    MSE = 1/N sum_j d_j (G(x_j+1) - G(x_j)) = 1/N sum_j (d_j-1 - d_j) G(x_j)

Zeros are represented exactly and cost nothing.
"""

from __future__ import annotations

import numpy as np

from qconv.calibrate.histogram import Doubles
from qconv.calibrate.summary import Summary
from qconv.quant.params import SMALLEST_SCALE
from qconv.quant.types import Scheme

_CHUNK = 1 << 17  # numbers that are worked on at a time


def codes_of(lo: Doubles, hi: Doubles, scheme: Scheme) -> tuple[Doubles, Doubles, Doubles]:
    """(S, k_min, k_max) of each range, k counted from the zero point, as `params_of_range` decides them."""
    kind = scheme.int_type
    low, high = np.minimum(lo, 0.0), np.maximum(hi, 0.0)
    high = np.where(low < high, high, 1.0)
    if scheme.symmetric:
        zero = 0 if kind.signed else 1 << (kind.bits - 1)
        scale = np.maximum(-low, high) / (kind.qmax - zero)
        return _stored(scale), np.full(lo.shape, float(kind.qmin - zero)), np.full(lo.shape, float(kind.qmax - zero))
    scale = _stored((high - low) / (kind.qmax - kind.qmin))
    zero_point = np.clip(np.rint(kind.qmin - low / scale), kind.qmin, kind.qmax)
    return scale, kind.qmin - zero_point, kind.qmax - zero_point


def mean_squared_errors(summary: Summary, lo: Doubles, hi: Doubles, scheme: Scheme, importance: Doubles | None = None) -> Doubles:
    """Of the ranges [lo, hi], two vectors of the same length; `importance` is a factor for each bin."""
    histogram = summary.histogram
    errors = np.zeros(len(lo))
    if not histogram.total:
        return errors
    densities = histogram.counts / histogram.widths
    weights = -np.diff(densities if importance is None else densities * importance, prepend=0, append=0) / summary.elements
    scale, k_min, k_max = codes_of(lo, hi, scheme)
    step = max(1, _CHUNK // len(weights))
    for start in range(0, len(lo), step):
        rows = slice(start, start + step)
        s = scale[rows, None]
        u = histogram.edges / s
        k = np.clip(np.rint(u), k_min[rows, None], k_max[rows, None])
        u -= k
        errors[rows] = scale[rows] ** 3 * ((k / 12 + u * u * u / 3) @ weights)
    return np.maximum(errors, 0.0)


def _stored(scale: Doubles) -> Doubles:
    """In float32, as they are stored."""
    return np.maximum(scale.astype(np.float32), SMALLEST_SCALE).astype(np.float64)
