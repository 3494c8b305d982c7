"""What the channels of some tensors reach over samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.appender import Appender
from qconv.model.session import open_session

Feeds = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Extremes:
    """Of one tensor, [channels] each: the least and the greatest value, and the mean square."""

    lo: Floats
    hi: Floats
    square: Floats


def channel_extremes(model: ir.Model, axes: Mapping[str, int], samples: Sequence[Feeds], threads: int = 0) -> dict[str, Extremes]:
    """Tensor -> extremes along the axis of its channels; each tensor is reduced inside the graph."""
    copy = model.clone()
    appender = Appender(copy.graph)
    values = {str(v.name): v for v in (*copy.graph.inputs, *(v for node in copy.graph for v in node.outputs))}
    copy.graph.outputs[:] = [row for name, axis in axes.items() for row in appender.over_channels(values[name], axis)]
    session = open_session(copy, threads=threads)
    found: dict[str, Extremes] = {}
    counts: dict[str, float] = {}
    for feeds in samples:
        arrays = session.run(None, dict(feeds))
        for place, name in enumerate(axes):
            lo, hi, square, size = arrays[4 * place : 4 * place + 4]
            new = Extremes(lo.astype(np.float64), hi.astype(np.float64), square.astype(np.float64))
            old = found.get(name)
            found[name] = new if old is None else _union(old, new)
            counts[name] = counts.get(name, 0.0) + float(size) / max(len(lo), 1)
    return {name: Extremes(e.lo, e.hi, e.square / max(counts[name], 1.0)) for name, e in found.items()}


def _union(a: Extremes, b: Extremes) -> Extremes:
    return Extremes(np.minimum(a.lo, b.lo), np.maximum(a.hi, b.hi), a.square + b.square)
