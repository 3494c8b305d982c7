"""MSE: the range of least mean squared error, rounding and clipping together (Gholami et al. 2021, III-C; OMSE, Choukroun 2019).

The ends of the candidates are edges of bins, and the extremes. An affine range is searched over both of its ends: a grid over
the whole, then finer ones around the best of it, until every bin nearby has been tried.
"""

from __future__ import annotations

import numpy as np

from qconv.calibrate.histogram import Doubles
from qconv.calibrate.methods.method import Range, within
from qconv.calibrate.quantization_error import mean_squared_errors
from qconv.calibrate.summary import Summary
from qconv.quant.types import Scheme

_GRID = 24  # candidates an end where both are searched
_LINE = 256  # candidates where one end is
_FINER = 4  # each round searches steps this many times smaller
_REACH = 5  # steps of a round, to either side


def mse(summary: Summary, scheme: Scheme) -> Range:
    """The best range found."""
    histogram = summary.histogram
    if not histogram.total or summary.lo == summary.hi:
        return summary.lo, summary.hi
    lows, highs = _ends(summary, scheme)
    grid = _LINE if len(lows) == 1 or len(highs) == 1 else _GRID
    step = max(1, -(-max(len(lows), len(highs)) // grid))
    chosen = _best(summary, scheme, lows, highs, np.arange(0, len(lows), step), np.arange(0, len(highs), step))
    while step > 1:
        step = max(1, step // _FINER)
        around = step * np.arange(-_REACH, _REACH + 1)
        chosen = _best(summary, scheme, lows, highs, _valid(chosen[0] + around, lows), _valid(chosen[1] + around, highs))
    return within(summary, float(lows[chosen[0]]), float(highs[chosen[1]]))


def _ends(summary: Summary, scheme: Scheme) -> tuple[Doubles, Doubles]:
    """The candidates of either end, from the outermost inwards to zero; one where there is nothing to choose."""
    edges = summary.histogram.edges
    lows = np.concatenate([[min(summary.lo, 0.0)], edges[(edges < 0) & (edges > summary.lo)]])
    highs = np.concatenate([[max(summary.hi, 0.0)], edges[(edges > 0) & (edges < summary.hi)][::-1]])
    if scheme.symmetric:
        return (lows, highs[:1] * 0) if -summary.lo > summary.hi else (lows[:1] * 0, highs)
    return lows, highs


def _best(summary: Summary, scheme: Scheme, lows: Doubles, highs: Doubles, i: np.ndarray, j: np.ndarray) -> tuple[int, int]:
    """The pair of least error; the widest of equals."""
    pairs_i, pairs_j = (axis.ravel() for axis in np.meshgrid(i, j, indexing="ij"))
    errors = mean_squared_errors(summary, lows[pairs_i], highs[pairs_j], scheme)
    best = int(np.argmin(errors))
    return int(pairs_i[best]), int(pairs_j[best])


def _valid(index: np.ndarray, ends: Doubles) -> np.ndarray:
    return index[(index >= 0) & (index < len(ends))]
