"""Compare a prepared graph with the model it came from, on real samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from qconv.model.session import open_session

# Where outputs are tiny because a Sigmoid or a subtraction made them so, float32 itself leaves them few digits: onnxruntime with
# and without its own optimization tells how many. A difference counts against at least this many times that noise.
NOISE_FACTOR = 1e3
_ROUNDING = 1e-4  # a difference up to it is not looked at twice


def largest_relative_difference(
    original: Path | ir.Model,
    prepared: ir.Model,
    feeds: Sequence[Mapping[str, NDArray[Any]]],
    fixed: Mapping[str, NDArray[Any]] = {},
) -> float:
    """The largest over all outputs and feeds of max|a - b| / max(max|a|, 1000 noise); infinite where only one is finite.

    `fixed` are inputs of the original alone. The noise is max|a - a'|, where a' is the original without onnxruntime's
    optimization. Where outputs differ, both graphs without it count too: what it does to one of them alone, as to a sum that is
    zero, is not what preparation changed. One session is open at a time.
    """
    names = [str(output.name) for output in prepared.graph.outputs]
    whole = [{**feed, **fixed} for feed in feeds]
    before = _outputs(open_session(original), names, whole)
    plain = _outputs(open_session(original, optimize=False), names, whole)
    after = _outputs(open_session(prepared), names, feeds)
    floors = list(map(_noise, before, plain))
    found = list(map(_difference, before, after, floors))
    if max(found, default=0.0) > _ROUNDING:
        alone = _outputs(open_session(prepared, optimize=False), names, feeds)
        found = list(map(min, found, map(_difference, plain, alone, floors)))
    return max(found, default=0.0)


def _difference(a: Any, b: Any, floor: float) -> float:
    return relative_difference(a, b, floor) if isinstance(a, np.ndarray) else 0.0


def _outputs(session: ort.InferenceSession, names: Sequence[str], feeds: Sequence[Mapping[str, NDArray[Any]]]) -> list[Any]:
    return [array for feed in feeds for array in session.run(names, dict(feed))]


def _noise(a: Any, b: Any) -> float:
    """What counts as noise of an output: 1000 max|a - b| over what is finite in both."""
    if not isinstance(a, np.ndarray) or a.dtype.kind not in "fiu":
        return 0.0
    with np.errstate(invalid="ignore"):  # of equal infinities
        difference = np.abs(a.astype(np.float64) - b.astype(np.float64))
    return NOISE_FACTOR * float(np.max(difference[np.isfinite(difference)], initial=0.0))


def relative_difference(a: NDArray[Any], b: NDArray[Any], floor: float = 0.0) -> float:
    """max|a - b| / max(max|a|, floor), where equal infinities and NaN in the same places count as equal."""
    if a.shape != b.shape:
        return float("inf")
    if a.dtype.kind not in "fiub":
        return 0.0 if np.array_equal(a, b) else float("inf")
    x, y = a.astype(np.float64), b.astype(np.float64)
    finite = np.isfinite(x) & np.isfinite(y)
    if not np.array_equal(x[~finite], y[~finite], equal_nan=True):
        return float("inf")
    difference = float(np.max(np.abs(x[finite] - y[finite]), initial=0.0))
    largest = float(np.max(np.abs(x[finite]), initial=floor))
    return 0.0 if difference == 0 else difference / largest if largest > 0 else float("inf")
