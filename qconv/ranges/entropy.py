"""Entropy: the range whose quantized distribution tells most about the whole one (Migacz 2017, 8-bit inference with TensorRT).

For each threshold t, the range is [max(lo, -t), min(hi, t)], which is the upper part of a one-sided tensor and cuts a two-sided
one from its longer side first. P is the distribution of the elements with all that lies outside added to the outermost bins; Q is
that of the elements inside, each code's mass spread evenly over those of its bins that are not empty, by their widths. Chosen is
the threshold of least

    KL(P || Q) = sum_j P_j log(P_j / Q_j)

less what chance adds: with N elements in all, counts that vary about an even spread over b bins of a code make it larger by
(b - 1) / 2N on average (Miller 1955), and would have the narrowest codes chosen where samples are few.

Zeros are a bin of their own, with a code of their own. Thresholds are edges of bins. Bins are at most twice as wide as the codes
of 8 bits, wherever the threshold (qconv/statistics/histogram.py). Half of the elements that are not zero stay inside.

With the counts c_j and widths w_j of the bins inside, and m_k and v_k their sums over the bins of code k that are not empty,

    sum_j c_j log(c_j / Q_j) = sum_j c_j log(c_j / w_j) - sum_k m_k log(m_k / v_k)

so that, from running sums, a threshold costs as much as there are codes, whatever the number of bins; the outermost bins
are then corrected for what is clipped.
"""

from __future__ import annotations

import numpy as np

from qconv.quant.types import Scheme
from qconv.ranges.method import within
from qconv.ranges.quantization_error import codes_of, steps_of
from qconv.statistics.histogram import Counts, Doubles
from qconv.statistics.summary import Range, Summary

_CHUNK = 1 << 14  # numbers that are worked on at a time, so that they stay in the cache


def entropy(summary: Summary, scheme: Scheme) -> Range:
    """The range of the best threshold; the widest of equals."""
    thresholds = candidates(summary, scheme)
    if not len(thresholds):
        return summary.lo, summary.hi
    best = float(thresholds[int(np.argmin(divergences(summary, thresholds, scheme)))])
    return within(summary, -best, best)


def candidates(summary: Summary, scheme: Scheme) -> Doubles:
    """Thresholds, descending from the largest magnitude."""
    histogram = summary.histogram
    if not histogram.total or summary.lo == summary.hi:
        return np.zeros(0)
    inner, outer = (function(np.abs(histogram.edges[:-1]), np.abs(histogram.edges[1:])) for function in (np.minimum, np.maximum))
    order = np.argsort(outer, kind="stable")
    median = np.searchsorted(np.cumsum(histogram.counts[order]), histogram.total / 2)
    thresholds = np.unique(np.concatenate([inner, outer]))
    largest = max(-summary.lo, summary.hi)
    inside = thresholds[
        (thresholds >= outer[order][median]) & (thresholds > max(summary.lo, -summary.hi)) & (thresholds < largest)
    ]
    return np.concatenate([[largest], inside[::-1]])


def divergences(summary: Summary, thresholds: Doubles, scheme: Scheme) -> Doubles:
    """KL(P || Q) for each threshold; at least one bin lies within."""
    sums = _Sums(summary)
    reach = np.where(thresholds < max(-summary.lo, summary.hi), thresholds, np.inf)
    lo, hi = np.maximum(summary.lo, -thresholds), np.minimum(summary.hi, thresholds)
    scale, k_min, _ = codes_of(lo, hi, scheme)
    found = np.empty(len(thresholds))
    rows_at_once = max(1, _CHUNK // (1 << scheme.int_type.bits))
    for start in range(0, len(thresholds), rows_at_once):
        rows = slice(start, start + rows_at_once)
        found[rows] = sums.divergence(reach[rows], steps_of(scale[rows], k_min[rows], scheme))
    return found


class _Sums:
    """Sums over the bins before each, and over all: elements, widths of those that are not empty, and c log(c / w)."""

    def __init__(self, summary: Summary) -> None:
        histogram = summary.histogram
        self._total = summary.elements
        self._centres, self._counts, self._widths = histogram.centres, histogram.counts, histogram.widths
        filled = np.where(self._counts > 0, self._widths, 0.0)
        self._bins = np.concatenate([[0], np.cumsum(self._counts > 0)])
        self._mass = np.concatenate([[0], np.cumsum(self._counts)])
        self._filled = _from_zero(filled, int(np.searchsorted(self._centres, 0.0)))
        self._plain = np.concatenate([[0.0], np.cumsum(_times_log(self._counts, self._widths))])

    def divergence(self, reach: Doubles, steps: Doubles) -> Doubles:
        """The divergence for each threshold, and its steps between codes [thresholds, codes - 1]."""
        first = np.searchsorted(self._centres, -reach, side="right")[:, None]
        end = np.searchsorted(self._centres, reach, side="left")[:, None]
        cuts = np.concatenate([first, np.clip(np.searchsorted(self._centres, steps), first, end), end], axis=1)
        mass, filled = np.diff(self._mass[cuts], axis=1), np.diff(self._filled[cuts], axis=1)
        spread = _times_log(mass, filled).sum(axis=1)
        below, above = self._mass[first], self._mass[-1] - self._mass[end]
        sums: Doubles = (self._plain[end] - self._plain[first])[:, 0] - spread
        for bins, clipped in ((first, below + (first == end - 1) * above), (end - 1, (first < end - 1) * above)):
            code = (cuts[:, 1:-1] <= bins).sum(axis=1)
            own, width = (np.take_along_axis(part, code[:, None], 1) for part in (mass, filled))
            sums += self._corrections(bins, clipped, own / np.where(own > 0, width, 1.0))[:, 0]
        inside = self._total - (below + above)[:, 0]
        chance = (self._bins[end] - self._bins[first])[:, 0] - (mass > 0).sum(axis=1)
        found: Doubles = (sums - chance / 2) / self._total + np.log(inside / self._total)
        return found

    def _corrections(self, bins: Counts, clipped: Counts, density: Doubles) -> Doubles:
        """p log(p / q) - c log(c / q) with p = c + clipped, given Q per width in the code of each bin."""
        counts: Counts = self._counts[bins]
        # What is empty but for what was clipped into it has no share in Q: half an element keeps the logarithm finite.
        q = np.where(counts > 0, density * self._widths[bins], 0.5)
        return _times_log(counts + clipped, q) - np.where(counts > 0, _times_log(counts, q), 0.0)


def _times_log(counts: Counts, share: Doubles) -> Doubles:
    """The terms c log(c / share), 0 where c is 0."""
    some = counts > 0
    logarithms: Doubles = np.log(np.where(some, counts, 1) / np.where(some, share, 1.0))
    return counts * logarithms


def _from_zero(values: Doubles, zero: int) -> Doubles:
    """Running sums whose differences are exact near zero, however large the values far from it."""
    below, above = np.cumsum(values[:zero][::-1])[::-1], np.cumsum(values[zero:])
    return np.concatenate([-below, [0.0], above])
