"""The density of a tensor's elements, in steps wide enough to be seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qconv.plot.axis import Axis, Doubles
from qconv.statistics.histogram import Counts

COLUMNS = 290  # of the axis: two pixels each


@dataclass(frozen=True)
class Density:
    """`heights` [k] of steps between `places` [k + 1] on the axis: count / width / number of elements, 0 where there are none."""

    places: Doubles
    heights: Doubles


def density_of(edges: Doubles, counts: Counts, elements: int, axis: Axis) -> Density:
    """The density of bins with `edges` [k + 1] of any widths, and `counts` [k] out of `elements`.

    Neighbouring bins that lie in one column are one step; a bin wider than a column stays alone, as gaps do.
    """
    places = axis.place(edges)
    columns = np.floor(places[:-1] * COLUMNS)
    wide = np.diff(places) * COLUMNS > 1
    starts = np.flatnonzero(np.r_[True, (np.diff(columns) > 0) | wide[1:] | wide[:-1]])
    pooled = np.add.reduceat(counts, starts)
    ends = np.r_[starts, len(edges) - 1]
    return Density(places[ends], pooled / np.diff(edges[ends]) / elements)
