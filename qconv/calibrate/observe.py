"""One streaming pass over the samples: each observed tensor is reduced inside the graph, nothing is kept per sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from qconv.calibrate.culprit import Culprit, run
from qconv.calibrate.data.prefetch import prefetch
from qconv.calibrate.data.source import SampleSource, known_length
from qconv.calibrate.methods import method_named
from qconv.calibrate.reductions import values_by_name, with_reductions
from qconv.calibrate.statistics import Observation, Statistic
from qconv.calibrate.watch import LIMIT, doubtful
from qconv.errors import DataError, UsageError
from qconv.model.graph import is_float
from qconv.model.session import open_session
from qconv.quant.types import FloatArray

Progress = Callable[[int, int | None], None]
_CHUNK = 64  # samples whose extremes are held before they are merged


def calibrate(
    model: ir.Model,
    tensors: Sequence[str],
    samples: SampleSource,
    *,
    method: str = "minmax",
    threads: int = 0,
    progress: Progress | None = None,
) -> dict[str, Statistic]:
    """Tensor name -> statistic over all samples, for float tensors of the prepared float `model`.

    The minimum of a tensor that a Relu or Clip keeps from being negative counts as 0 (qconv/calibrate/reductions.py).

    Memory does not depend on the number of samples. `progress(done, total)` is called after each; `total` is None when unknown.
    Raises DataError when there are no samples, when one does not fit, or when a tensor is NaN or infinite: the message names
    the tensor and the sample. Raises UsageError for an unknown method or tensor.
    """
    tally = _Tally(method_named(method), _checked(model, tensors))
    if not tally.tensors:
        return {}
    doubts = doubtful(model.graph, tally.tensors)
    reduced = with_reductions(model, tuple(dict.fromkeys((*tally.tensors, *doubts))), doubts)
    session = open_session(reduced.model, threads=threads)
    culprit, total, done = Culprit(model, tally.tensors, threads), known_length(samples), 0
    for sample in prefetch(samples):
        vector = run(session, sample)[0]
        if np.abs(vector).max() <= LIMIT:  # false for NaN too; see qconv/calibrate/watch.py
            tally.add(reduced.lo(vector), reduced.hi(vector))
        else:
            tally.add(*culprit.extremes(sample, done))
        done += 1
        if progress is not None:
            progress(done, total)
    if not done:
        raise DataError(f"{samples.description} has no samples; give at least one")
    return tally.statistics()


class _Tally:
    """The statistics so far, and a buffer of extremes that are not merged yet."""

    def __init__(self, kind: type[Statistic], tensors: Sequence[str]) -> None:
        self.tensors = tuple(tensors)
        self._kind = kind
        self._lo = np.empty((_CHUNK, len(self.tensors)), np.float32)
        self._hi = np.empty_like(self._lo)
        self._filled = 0
        self._merged: dict[str, Statistic] = {}

    def add(self, lo: FloatArray, hi: FloatArray) -> None:
        """One sample's extremes; the first [tensors] of each count."""
        observed = len(self.tensors)
        self._lo[self._filled], self._hi[self._filled] = lo[:observed], hi[:observed]
        self._filled += 1
        if self._filled == _CHUNK:
            self._merge()

    def statistics(self) -> dict[str, Statistic]:
        """All of it, merged."""
        if self._filled:
            self._merge()
        return dict(self._merged)

    def _merge(self) -> None:
        for index, name in enumerate(self.tensors):
            observation = Observation(self._lo[: self._filled, index], self._hi[: self._filled, index])
            latest = self._kind.of(observation)
            self._merged[name] = self._merged[name].merge(latest) if name in self._merged else latest
        self._filled = 0


def _checked(model: ir.Model, tensors: Sequence[str]) -> list[str]:
    """The names, each once. Raises UsageError for one that is not a float32 tensor of the main graph."""
    values: Mapping[str, ir.Value] = values_by_name(model.graph)
    for name in tensors:
        if name not in values or not is_float(values[name]):
            raise UsageError(f"the model has no float32 tensor {name!r} to observe; check the name")
    return list(dict.fromkeys(tensors))
