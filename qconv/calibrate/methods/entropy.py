"""Entropy: the range whose quantized distribution tells most about the whole one (Migacz 2017, 8-bit inference with TensorRT).

For each threshold t, the range is [max(lo, -t), min(hi, t)], which is the upper part of a one-sided tensor and cuts a two-sided
one from its longer side first. P is the distribution of the elements with all that lies outside added to the outermost bins; Q is
that of the elements inside, each code's mass spread evenly over those of its bins that are not empty, by their widths. Chosen is
the threshold of least

    KL(P || Q) = sum_j P_j log(P_j / Q_j)

Zeros are a bin of their own, with a code of their own. Thresholds are edges of bins. Bins are at most twice as wide as the codes
of 8 bits, wherever the threshold (qconv/calibrate/histogram.py). Half of the elements that are not zero stay inside.
"""

from __future__ import annotations

import numpy as np

from qconv.calibrate.histogram import Counts, Doubles, Histogram
from qconv.calibrate.methods.method import Range, within
from qconv.calibrate.quantization_error import codes_of
from qconv.calibrate.summary import Summary
from qconv.quant.types import Scheme

_CHUNK = 1 << 17  # numbers that are worked on at a time
_COARSE = 8  # every so many thresholds are tried first,
_PROMISING = 8  # then all that are near the best of those


def entropy(summary: Summary, scheme: Scheme) -> Range:
    """The range of the best threshold; the widest of equals."""
    thresholds = candidates(summary, scheme)
    if not len(thresholds):
        return summary.lo, summary.hi
    coarse = np.arange(0, len(thresholds), _COARSE)
    found = divergences(summary, thresholds[coarse], scheme)
    promising = coarse[np.argsort(found, kind="stable")[:_PROMISING]]
    near = np.unique(np.clip(promising[:, None] + np.arange(-_COARSE, _COARSE + 1), 0, len(thresholds) - 1))
    best = thresholds[near[int(np.argmin(divergences(summary, thresholds[near], scheme)))]]
    return within(summary, -float(best), float(best))


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
    """KL(P || Q) for each threshold."""
    histogram = summary.histogram
    centres = histogram.centres
    lo, hi = np.maximum(summary.lo, -thresholds), np.minimum(summary.hi, thresholds)
    scale, k_min, k_max = codes_of(lo, hi, scheme)
    found = np.empty(len(thresholds))
    step = max(1, _CHUNK // len(centres))
    for start in range(0, len(thresholds), step):
        rows = slice(start, start + step)
        inside = (centres > lo[rows, None]) & (centres < hi[rows, None])
        codes = np.clip(np.rint(centres / scale[rows, None]), k_min[rows, None], k_max[rows, None]).astype(np.int64)
        found[rows] = _divergence(histogram, summary.zeros, inside, codes)
    return found


def _divergence(histogram: Histogram, zeros: int, inside: np.ndarray, codes: Counts) -> Doubles:
    """For each row of bins that are inside and of their codes."""
    counts, widths = histogram.counts, histogram.widths
    total = counts.sum() + zeros
    kept = np.where(inside, counts, 0)
    p = kept.astype(np.float64)
    rows = np.arange(len(p))
    first, last = inside.argmax(axis=1), inside.shape[1] - 1 - inside[:, ::-1].argmax(axis=1)
    below = np.where(np.arange(inside.shape[1]) < first[:, None], counts, 0).sum(axis=1)
    np.add.at(p, (rows, first), below)
    np.add.at(p, (rows, last), total - zeros - kept.sum(axis=1) - below)
    width = int(codes.max() - codes.min()) + 1
    group = (codes - codes.min()) + width * rows[:, None]
    mass = np.bincount(group.ravel(), weights=kept.ravel(), minlength=width * len(rows))
    filled = np.bincount(group.ravel(), weights=np.where(kept > 0, widths, 0.0).ravel(), minlength=width * len(rows))
    inside_all = np.maximum(kept.sum(axis=1) + zeros, 0.5)
    q = np.where(kept > 0, mass[group] * widths / np.where(kept > 0, filled[group], 1.0), 0.0)
    # What is empty but for what was clipped into it has no share in Q: half an element keeps the logarithm finite.
    q = np.maximum(q, np.where(p > 0, 0.5, 0.0))
    terms = np.where(p > 0, p * np.log(np.where(p > 0, p, 1) / np.where(p > 0, q, 1)), 0.0)
    found: Doubles = terms.sum(axis=1) / total + np.log(inside_all / total)
    return found
