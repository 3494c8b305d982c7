"""The mean squared error of quantizing a tensor, rounding and clipping together, exactly from its histogram.

Let the elements of a bin be spread evenly over it, and d(x) be their density. With the scale S, and codes k from k_min <= 0 to
k_max >= 0, the step from k to k + 1 is at t_k = (k + 1/2) S. An element x beyond it has an error (x - S (k + 1))^2 where it
had (x - S k)^2: less by 2 S (x - t_k). Code 0 alone would leave x^2, so with N elements, and steps counted outwards from zero,

    N MSE = int x^2 d(x) dx - 2 S sum_k H(t_k)

    H(t) = int_t^oo (x - t) d(x) dx     t > 0          H(t) = int_-oo^t (t - x) d(x) dx     t < 0

H is a parabola in each bin, so an error costs as many look-ups as there are steps, whatever the number of bins. Summed from
the outermost bin inwards, H has no cancellation; the difference has: an error is at least about 1e-6 of the first term, for the
bins are at least 1/256 as wide as they are far from zero, and codes no finer; so 7 digits of it are right at least.

Zeros are represented exactly and cost nothing.
"""

from __future__ import annotations

import numpy as np

from qconv.quant.params import SMALLEST_SCALE
from qconv.quant.types import Scheme
from qconv.statistics.histogram import Doubles
from qconv.statistics.summary import Summary

_CHUNK = 1 << 14  # numbers that are worked on at a time, so that they stay in the cache


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


def steps_of(scale: Doubles, k_min: Doubles, scheme: Scheme) -> Doubles:
    """[ranges, codes - 1]: where the rounding of each range goes from one code to the next, ascending."""
    count = scheme.int_type.qmax - scheme.int_type.qmin
    found: Doubles = (k_min[:, None] + (np.arange(count) + 0.5)) * scale[:, None]
    return found


def mean_squared_errors(summary: Summary, lo: Doubles, hi: Doubles, scheme: Scheme, importance: Doubles | None = None) -> Doubles:
    """Mean squared errors of ranges [lo, hi], vectors of one length; `importance` is a factor for each bin. At most 8 bits."""
    errors = np.zeros(len(lo))
    if not summary.histogram.total:
        return errors
    moments = _Moments(summary, importance)
    scale, k_min, _ = codes_of(lo, hi, scheme)
    rows_at_once = max(1, _CHUNK // (1 << scheme.int_type.bits))
    for start in range(0, len(lo), rows_at_once):
        rows = slice(start, start + rows_at_once)
        errors[rows] = moments.beyond(steps_of(scale[rows], k_min[rows], scheme)).sum(axis=1)
    return np.maximum(moments.squares - 2 * scale * errors, 0.0) / summary.elements


class _Moments:
    """The integral of x^2 d(x), and H from its value and slope at the end of each bin that is away from zero."""

    def __init__(self, summary: Summary, importance: Doubles | None) -> None:
        edges, widths = summary.histogram.edges, summary.histogram.widths
        weights = summary.histogram.counts * (np.ones(len(widths)) if importance is None else importance)
        self.squares = float(weights @ (edges[:-1] ** 2 + edges[:-1] * edges[1:] + edges[1:] ** 2)) / 3
        zero = int(np.searchsorted(edges, 0.0))
        self._points = np.insert(edges, zero, 0.0)
        density, widths = np.insert(weights / widths, min(zero, len(widths)), 0.0), np.diff(self._points)
        below, above = _inwards(density[:zero], widths[:zero]), _inwards(density[zero:][::-1], widths[zero:][::-1])
        self._ends = _padded(np.concatenate([self._points[:zero], self._points[zero + 1 :]]))
        self._heights, self._slopes = (_padded(np.concatenate([low, high[::-1]])) for low, high in zip(below, above, strict=True))
        self._bends = _padded(density / 2)

    def beyond(self, t: Doubles) -> Doubles:
        """The integral H(t), elementwise."""
        found = np.searchsorted(self._points, t)
        distance = np.abs(t - self._ends[found])
        result: Doubles = self._heights[found] + distance * (self._slopes[found] + distance * self._bends[found])
        return result


def _inwards(density: Doubles, widths: Doubles) -> tuple[Doubles, Doubles]:
    """H, and the elements beyond, at the outer end of each bin; the outermost bin first."""
    mass = density * widths
    slopes = np.cumsum(mass) - mass
    gains = widths * (slopes + mass / 2)
    return np.cumsum(gains) - gains, slopes


def _padded(values: Doubles) -> Doubles:
    """The counts with zeros for what lies outside of all bins."""
    return np.pad(values, 1)


def _stored(scale: Doubles) -> Doubles:
    """Scales in float32, as they are stored."""
    return np.maximum(scale.astype(np.float32), SMALLEST_SCALE).astype(np.float64)
