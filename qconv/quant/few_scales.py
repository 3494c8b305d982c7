"""A few scales in place of one for each channel, for runtimes that take one for a tensor: a layer is split by its scale.

Channels that share a scale take the largest of theirs. What that adds to the noise of the weights at the output, which all
channels give in steps of one size, is measured by the sum of the squares of the scales. As few scales are taken as add a quarter
to it, which is 1 dB.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qconv.quant.types import FloatArray

_MORE_NOISE = 1.25
MOST_SCALES = 4


def few_scales(scale: FloatArray, groups: int = 1) -> FloatArray:
    """Scales of channels, shape (channels,), raised to at most four different ones; `groups` of neighbours stay together."""
    of_groups = scale.reshape(groups, -1).max(axis=1) if groups > 1 else scale
    values, counts = np.unique(of_groups, return_counts=True)
    ends = _ends(values.astype(np.float64) ** 2, counts.astype(np.float64))
    raised = values[ends[np.searchsorted(ends, np.searchsorted(values, of_groups))]]
    return np.asarray(np.repeat(raised, len(scale) // len(raised)), np.float32)


def _ends(powers: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.int64]:
    """Where ascending values are cut: the index of the last one of each part, for the fewest parts that are good enough."""
    total, enough = np.concatenate([[0.0], np.cumsum(counts)]), _MORE_NOISE * float(powers @ counts)
    width = total[1:, None] - total[:-1]  # [last, first] of a part
    cost = np.where(width > 0, powers[:, None] * width, np.inf)
    best, chosen = np.concatenate([[np.inf], cost[:, 0]]), [np.zeros(len(powers), np.int64)]
    while best[-1] > enough and len(chosen) < MOST_SCALES:
        sums = cost + best[None, :-1]
        chosen.append(sums.argmin(axis=1))
        best = np.concatenate([[np.inf], sums.min(axis=1)])
    ends, last = [], len(powers) - 1
    for first in reversed(chosen):
        ends.append(last)
        last = int(first[last]) - 1
    return np.asarray(ends[::-1], np.int64)
