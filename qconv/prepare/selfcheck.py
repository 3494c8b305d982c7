"""Compare a prepared graph with the model it came from, on real samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.session import open_session

# Folding reorders float32 arithmetic, no more: networks of a hundred layers stay below 1e-4 of their largest output.
USUAL_BOUND = 1e-3


def largest_relative_difference(original: Path, prepared: ir.Model, feeds: Iterable[Mapping[str, NDArray[Any]]]) -> float:
    """The largest over all outputs and feeds of max|a - b| / max|a|; infinite where only one of the two is finite."""
    before, after = open_session(original), open_session(prepared)
    names = [output.name for output in before.get_outputs()]
    largest = 0.0
    for feed in feeds:
        pairs = zip(before.run(names, dict(feed)), after.run(names, dict(feed)), strict=True)
        largest = max([largest, *(relative_difference(a, b) for a, b in pairs if isinstance(a, np.ndarray))])
    return largest


def relative_difference(a: NDArray[Any], b: NDArray[Any]) -> float:
    """max|a - b| / max|a|, where equal infinities and NaN in the same places count as equal."""
    if a.shape != b.shape:
        return float("inf")
    if a.dtype.kind not in "fiub":
        return 0.0 if np.array_equal(a, b) else float("inf")
    x, y = a.astype(np.float64), b.astype(np.float64)
    finite = np.isfinite(x) & np.isfinite(y)
    if not np.array_equal(x[~finite], y[~finite], equal_nan=True):
        return float("inf")
    difference = float(np.max(np.abs(x[finite] - y[finite]), initial=0.0))
    largest = float(np.max(np.abs(x[finite]), initial=0.0))
    return 0.0 if difference == 0 else difference / largest if largest > 0 else float("inf")
