"""Which codes a weight may take where they are not evenly spaced, in int8 with a greatest magnitude of 64.

uniform       all of so many bits; no set
auto          uniform, or a codebook in layers of 4 bits and fewer that samples like better so (recover/recover.py); no set
powers        0 and +-2^k: a product is a shift                          up to 4 bits
two-powers    0 and +-(2^j + 2^k): two shifts and a sum                  about 6 bits
ternary       -1, 0, +1                                                  2 bits
binary        -1, +1                                                     1 bit
codebook      the 2^bits codes that meet a layer's weights best          up to 6 bits

With magnitudes up to 64 no pair of neighbours saturates (saturation.py), and units of 1/64 of the greatest level leave the bias
the precision that its steps S_x S_w need.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from qconv.quant.types import IntArray

Kind = Literal["auto", "uniform", "powers", "two-powers", "ternary", "binary", "codebook"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LARGEST = 64
_MOST_BITS = 6  # of a codebook
_ROUNDS = 30  # of k-means
_MOST_VALUES = 1 << 16  # that k-means looks at
NARROWER = (0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 1.0)  # of the scale under which the greatest weight is the greatest level


def level_set(kind: Kind, bits: int, weight: NDArray[np.floating], scale: NDArray[np.floating]) -> IntArray | None:
    """The codes that a weight may take, ascending; None for uniform ones. `scale` broadcasts: weight / scale lies in +-64.

    Of powers, `bits` leave the greatest ones.
    """
    match kind:
        case "auto" | "uniform":
            return None
        case "powers":
            return _with_signs(LARGEST >> np.arange(min((1 << (bits - 1)) - 1, LARGEST.bit_length())))
        case "two-powers":
            one = LARGEST >> np.arange(LARGEST.bit_length())
            sums = np.unique(np.concatenate([one, np.add.outer(one, one).reshape(-1)]))
            return _with_signs(sums[sums <= LARGEST])
        case "ternary":
            return _with_signs(np.asarray([LARGEST]))
        case "binary":
            return np.asarray([-LARGEST, LARGEST], np.int8)
        case "codebook":
            return _codebook(np.asarray(weight / scale, np.float64).reshape(-1), 1 << min(bits, _MOST_BITS))


def nearest_levels(steps: NDArray[np.floating], levels: IntArray) -> IntArray:
    """The nearest level to each real multiple of the scale; the lower of two."""
    middles = (levels[:-1].astype(np.float64) + levels[1:]) / 2.0
    return np.asarray(levels[np.searchsorted(middles, steps)])


def _with_signs(positive: NDArray[np.integer]) -> IntArray:
    return np.unique(np.concatenate([positive, -positive, [0]])).astype(np.int8)


def _codebook(values: NDArray[np.float64], count: int) -> IntArray:
    """Lloyd's algorithm in one dimension, from quantiles; 0 stays a level, and what falls on one code is one level."""
    ordered = np.sort(values)
    ordered = ordered[:: max(1, len(ordered) // _MOST_VALUES)]
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    centers = np.unique(np.concatenate([np.quantile(ordered, (np.arange(count - 1) + 0.5) / (count - 1)), [0.0]]))
    for _ in range(_ROUNDS):
        ends = np.concatenate([[0], np.searchsorted(ordered, (centers[:-1] + centers[1:]) / 2.0), [len(ordered)]])
        sizes = np.diff(ends)
        means = np.where(sizes > 0, np.diff(sums[ends]) / np.maximum(sizes, 1), centers)
        centers = np.sort(np.where(centers == 0.0, 0.0, means))
    return np.unique(np.clip(np.rint(centers), -LARGEST, LARGEST)).astype(np.int8)
