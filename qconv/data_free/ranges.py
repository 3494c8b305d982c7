"""Ranges where there are no real samples: what synthetic ones reach, and more.

1. The extremes over the samples, times WIDER, or OUTCOMES for what a user reads element by element: no synthetic picture shows
   what the network was trained to find, and a score that is clipped equals its rivals, while a bit less hardly changes an order.
2. United with what batch norms tell (qconv/data_free/batchnorm_ranges.py).
3. Cut by the clamps that make a tensor. The range of pictures in a known convention is exact, and taken as it is.

The two errors are not alike: a range too wide by half costs 0.6 bits, one too narrow by half breaks the network.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np
import onnx_ir as ir

from qconv.data_free.batchnorm_ranges import batchnorm_ranges, clamped_ranges

WIDER, OUTCOMES = 1.5, 2.0

Range = tuple[float, float]
_FREE = (-np.inf, np.inf)


def data_free_ranges(
    extremes: Mapping[str, Range], original: ir.Graph, *, exact: Mapping[str, Range] = {}, outcomes: Collection[str] = ()
) -> dict[str, Range]:
    """Tensor -> range for every tensor of `extremes`, which are those over synthetic samples.

    `original` is the graph before preparation, with its batch norms; `exact` are ranges that hold as they are; `outcomes` are the
    tensors that a user reads.
    """
    reach, clamps = batchnorm_ranges(original), clamped_ranges(original)
    found = dict(exact)
    for name, (lo, hi) in extremes.items():
        factor = OUTCOMES if name in outcomes else WIDER
        lo, hi = _union([(factor * min(lo, 0.0), factor * max(hi, 0.0)), reach.get(name)])
        floor, ceiling = clamps.get(name, _FREE)
        found.setdefault(name, (min(max(lo, floor), ceiling), max(min(hi, ceiling), floor)))
    return {name: found[name] for name in extremes}


def _union(ranges: Iterable[Range | None]) -> Range:
    given = [found for found in ranges if found is not None]
    return min(lo for lo, _ in given), max(hi for _, hi in given)
