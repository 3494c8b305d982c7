"""MSE: the range of least mean squared error, rounding and clipping together (Gholami et al. 2021, III-C; OMSE, Choukroun 2019).

The ends of the candidates are edges of bins, and the extremes. Where one end is to be found, because the other is zero or its
mirror image, all are tried. Where both are, their pairs are too many, and at few bits the error has many local minima, because
edges of codes pass over the bulk of the elements: a coarse search over both ends, each a tenth shorter than the one before, is
followed by finer ones around the best few of it, until every bin nearby has been tried.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qconv.quant.types import Scheme
from qconv.ranges.method import within
from qconv.ranges.quantization_error import mean_squared_errors
from qconv.statistics.histogram import Doubles
from qconv.statistics.summary import Range, Summary

_RATIO = 0.9
_LENGTHS = 32  # of them: down to 4 % of an extreme
_PROMISING = 6  # pairs that are followed up
_REACH = 4  # steps to either side, of which the first ones are as long as those of the coarse search

Index = NDArray[np.int64]


def mse(summary: Summary, scheme: Scheme) -> Range:
    """The best range found."""
    if not summary.histogram.total or summary.lo == summary.hi:
        return summary.lo, summary.hi
    lows, highs = _ends(summary, scheme)
    two = len(lows) > 1 and len(highs) > 1
    pairs = _search(summary, scheme, lows, highs) if two else _pairs(np.arange(len(lows)), np.arange(len(highs)))
    errors = mean_squared_errors(summary, lows[pairs[0]], highs[pairs[1]], scheme)
    chosen = pairs[:, int(np.argmin(errors))]
    lo, hi = float(lows[chosen[0]]), float(highs[chosen[1]])
    return within(summary, -hi if scheme.symmetric else lo, hi)


def _search(summary: Summary, scheme: Scheme, lows: Doubles, highs: Doubles) -> Index:
    """The pairs around the best few, after ever finer steps."""
    pairs = _pairs(_spread(lows), _spread(highs))
    step = max(1, int(max(len(lows), len(highs)) * (1 - _RATIO)))
    for _ in range(step.bit_length() + 1):
        errors = mean_squared_errors(summary, lows[pairs[0]], highs[pairs[1]], scheme)
        best = pairs[:, np.argsort(errors, kind="stable")[:_PROMISING]]
        pairs = _around(best, step, len(lows), len(highs))
        step = max(1, step // 2)
    return pairs


def _ends(summary: Summary, scheme: Scheme) -> tuple[Doubles, Doubles]:
    """The candidates of either end, from the outermost inwards to zero; one where there is nothing to choose."""
    edges = summary.histogram.edges
    if scheme.symmetric:
        largest, magnitudes = max(-summary.lo, summary.hi), np.unique(np.abs(edges))
        return np.zeros(1), np.concatenate([[largest], magnitudes[(magnitudes > 0) & (magnitudes < largest)][::-1]])
    lows = np.concatenate([[min(summary.lo, 0.0)], edges[(edges < 0) & (edges > summary.lo)]])
    highs = np.concatenate([[max(summary.hi, 0.0)], edges[(edges > 0) & (edges < summary.hi)][::-1]])
    return lows, highs


def _spread(ends: Doubles) -> Index:
    """Edges whose lengths fall by a constant ratio, and the first edge, so that an outlier's bin has both ends tried."""
    lengths = np.abs(ends[0]) * _RATIO ** np.arange(_LENGTHS)
    return np.unique(np.append(np.searchsorted(-np.abs(ends), -lengths), 1).clip(max=len(ends) - 1))


def _around(pairs: Index, step: int, lows: int, highs: int) -> Index:
    """All edges that are up to some steps away in both directions."""
    offsets = step * np.arange(-_REACH, _REACH + 1)
    i, j = (pairs[axis][:, None] + offsets for axis in (0, 1))
    both = np.concatenate([_pairs(row, column) for row, column in zip(i, j, strict=True)], axis=1)
    return np.unique(both[:, (both >= 0).all(axis=0) & (both[0] < lows) & (both[1] < highs)], axis=1)


def _pairs(i: Index, j: Index) -> Index:
    """All pairs of edges, [2, len(i) len(j)]."""
    return np.stack([axis.ravel() for axis in np.meshgrid(i, j, indexing="ij")])
