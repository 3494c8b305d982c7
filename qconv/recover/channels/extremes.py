"""What the channels of some tensors reach over samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.appender import Appender
from qconv.model.memory import copied, give_memory_back
from qconv.model.session import open_session

Feeds = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]


_FEW, _MOST_SPREADS = 24.0, 4.0


@dataclass(frozen=True)
class Extremes:
    """The extremes of one tensor, [channels] each: the least and the greatest value, and the mean square.

    `usual_lo` and `usual_hi` are the medians of the extremes of single samples, of which there were `samples`.
    """

    lo: Floats
    hi: Floats
    square: Floats
    usual_lo: Floats
    usual_hi: Floats
    samples: int

    @property
    def reach(self) -> tuple[Floats, Floats]:
        """How far channels may go on samples that were not seen, with zero between; no farther than the widest one of them went.

        The extremes are moved out by a part of themselves, and of their distance from those of a usual sample, larger parts where
        there were few samples: a channel that only a few samples make large needs much room.
        """
        spreads, part = min(_MOST_SPREADS, _FEW / max(self.samples, 1)), 1.0 / math.sqrt(max(self.samples, 1))
        lo, hi = np.minimum(self.lo, 0.0), np.maximum(self.hi, 0.0)
        out = lo * (1.0 + part) + spreads * (self.lo - self.usual_lo), hi * (1.0 + part) + spreads * (self.hi - self.usual_hi)
        return np.clip(out[0], lo.min(initial=0.0), 0.0), np.clip(out[1], 0.0, hi.max(initial=0.0))

    def within(self, low: float, high: float) -> Extremes:
        """The extremes of values that are cut off at `low` and `high`; the mean square stays."""
        lo, hi, usual_lo, usual_hi = (np.clip(part, low, high) for part in (self.lo, self.hi, self.usual_lo, self.usual_hi))
        return Extremes(lo, hi, self.square, usual_lo, usual_hi, self.samples)

    @property
    def width(self) -> float:
        """The width of the whole tensor's range, with zero in it."""
        return max(float(self.hi.max(initial=0.0)), 0.0) - min(float(self.lo.min(initial=0.0)), 0.0)


def channel_extremes(model: ir.Model, axes: Mapping[str, int], samples: Sequence[Feeds], threads: int = 0) -> dict[str, Extremes]:
    """Tensor -> extremes along the axis of its channels; each tensor is reduced inside the graph."""
    copy = model.clone()
    appender = Appender(copy.graph)
    values = {str(v.name): v for v in (*copy.graph.inputs, *(v for node in copy.graph for v in node.outputs))}
    # In this order onnxruntime looks at each tensor before it makes the next one (statistics/reductions.py).
    rows = {name: appender.over_channels(values[name], axis) for name, axis in reversed(list(axes.items()))}
    copy.graph.outputs[:] = [row for name in axes for row in rows[name]]
    session = open_session(copy, threads=threads)
    runs = [[copied(row) for row in session.run(None, dict(feeds))] for feeds in samples]
    del session
    give_memory_back()
    return {name: _of_runs([run[4 * place : 4 * place + 4] for run in runs]) for place, name in enumerate(axes)}


def _of_runs(rows: Sequence[Sequence[NDArray[Any]]]) -> Extremes:
    """The extremes out of the minima, maxima, sums of squares and numbers of elements of each sample."""
    lows, highs, squares = (np.array([row[part] for row in rows], np.float64) for part in range(3))
    elements = sum(float(row[3]) for row in rows) / max(lows.shape[1], 1)
    usual = np.median(lows, axis=0), np.median(highs, axis=0)
    return Extremes(lows.min(axis=0), highs.max(axis=0), squares.sum(axis=0) / max(elements, 1.0), *usual, len(rows))
