"""Ranges where there are no real samples: what synthetic ones reach, and more.

    [lo, hi] = MARGIN * (extremes over synthetic samples), united with what batch norms tell (qconv/calibrate/batchnorm_ranges.py)

Synthetic samples do not reach as far as real ones, and the two errors are not alike: a range too wide by half costs 0.6 bits
everywhere, one too narrow by half breaks the network. The range of pictures in a known convention is exact, and taken as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import onnx_ir as ir

from qconv.calibrate.batchnorm_ranges import batchnorm_ranges

MARGIN = 1.5

Range = tuple[float, float]


def data_free_ranges(extremes: Mapping[str, Range], original: ir.Graph, exact: Mapping[str, Range] = {}) -> dict[str, Range]:
    """Tensor -> range for every tensor of `extremes`, which are those over synthetic samples.

    `original` is the graph before preparation, with its batch norms; `exact` are ranges that hold as they are.
    """
    reach = batchnorm_ranges(original)
    widened = {name: (MARGIN * min(lo, 0.0), MARGIN * max(hi, 0.0)) for name, (lo, hi) in extremes.items()}
    return {name: exact[name] if name in exact else _union([found, reach.get(name)]) for name, found in widened.items()}


def _union(ranges: Iterable[Range | None]) -> Range:
    given = [found for found in ranges if found is not None]
    return min(lo for lo, _ in given), max(hi for _, hi in given)
