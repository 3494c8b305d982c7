"""One streaming pass over the samples: each observed tensor is reduced inside the graph, nothing is kept per sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from qconv.data.prefetch import prefetch
from qconv.data.source import Sample, SampleSource, known_length
from qconv.errors import DataError, UsageError
from qconv.model.graph import is_float
from qconv.model.session import open_session
from qconv.ops.floors import Floors
from qconv.statistics.finiteness import LIMIT, doubtful
from qconv.statistics.histogram_bank import HistogramBank
from qconv.statistics.nonfinite import Culprit, run
from qconv.statistics.reductions import values_by_name, with_reductions
from qconv.statistics.sampling import seed_of
from qconv.statistics.summary import Summary

Progress = Callable[[int, int | None], None]
Keep = Callable[[int, Callable[[], dict[str, Summary]]], None]
Watch = Callable[[Sample], None]


def calibrate(
    model: ir.Model,
    tensors: Sequence[str],
    samples: SampleSource,
    *,
    averages: bool = False,
    exact: bool = False,
    threads: int = 0,
    progress: Progress | None = None,
    keep: Keep | None = None,
    watch: Watch | None = None,
    first: int = 0,
    step: int = 1,
) -> dict[str, Summary]:
    """Tensor name -> summary over all samples, for float tensors of the prepared float `model`.

    The minimum of a tensor that a Relu or Clip keeps from being negative counts as 0 (qconv/statistics/reductions.py). Of large
    tensors a sample of elements is counted (qconv/statistics/sampling.py), or with `exact` all of them. `averages` adds what
    the EMA method needs.

    Memory does not depend on the number of samples. `progress(done, total)` is called after each; `total` is None when unknown.
    So is `keep(done, summaries)`, which may ask for the summaries so far, and `watch` with the sample, which is a good one then.
    `samples` may be those of number first, first + step, ... of a larger source, which messages then count by; past its
    beginning there may be none.
    Raises DataError when there are no samples, when one does not fit, or when a tensor is NaN or infinite: the message names
    the tensor and the sample. Raises UsageError for an unknown tensor.
    """
    observed = _checked(model, tensors)
    if not observed:
        return {}
    observer = _Observer(model, observed, averages, exact, threads)
    total, done = known_length(samples), 0
    for sample in prefetch(samples):
        observer.observe(sample, first + done * step)
        if watch is not None:
            watch(sample)
        done += 1
        if progress is not None:
            progress(done, total)
        if keep is not None:
            keep(done, observer.tally.summaries)
    if not done and not first:
        raise DataError(f"{samples.description} has no samples; give at least one")
    return observer.tally.summaries()


class _Observer:
    """Runs the model with its reductions and tallies what they yield."""

    def __init__(self, model: ir.Model, tensors: Sequence[str], averages: bool, exact: bool, threads: int) -> None:
        self.tally = HistogramBank(tensors, averages=averages)
        floors = Floors.of(model.graph)
        doubts = [name for name in doubtful(model.graph, tensors) if name in floors.rows or name not in floors.carriers]
        self._reduced = with_reductions(model, tuple(dict.fromkeys((*tensors, *doubts))), doubts, tensors, exact, floors)
        self._session = open_session(self._reduced.model, threads=threads)
        self._culprit = Culprit(model, tensors, threads, floors)

    def observe(self, sample: Sample, number: int) -> None:
        """Observes one sample. Raises DataError."""
        seed, seed_input = seed_of(sample.feeds), self._reduced.seed_input
        given = {} if seed_input is None else {seed_input: np.array([seed])}
        vector, *free = run(self._session, replace(sample, feeds={**sample.feeds, **given}))
        if not np.abs(self._reduced.reductions(vector)).max() <= LIMIT:  # true for NaN; see qconv/statistics/finiteness.py
            self._observe_whole(sample, number, seed)
            return
        taken = self._reduced.sampling.lengths(seed, free[0] if free else np.zeros(0, np.int64))
        observed = len(self.tally.tensors)
        lo, hi = self._reduced.lo(vector)[:observed], self._reduced.hi(vector)[:observed]
        self.tally.add(lo, hi, self._reduced.elements(vector), taken)

    def _observe_whole(self, sample: Sample, number: int, seed: int) -> None:
        arrays = self._culprit.tensors(sample, number)
        lo = np.array([array.min(initial=np.float32(np.inf)) for array in arrays], np.float32)
        hi = np.array([array.max(initial=np.float32(-np.inf)) for array in arrays], np.float32)
        parts = self._reduced.sampling.pick(arrays, seed)
        self.tally.add(lo, hi, np.concatenate(parts), np.array([part.size for part in parts], np.int64))


def _checked(model: ir.Model, tensors: Sequence[str]) -> list[str]:
    """The names, each once. Raises UsageError for one that is not a float32 tensor of the main graph."""
    values: Mapping[str, ir.Value] = values_by_name(model.graph)
    for name in tensors:
        if name not in values or not is_float(values[name]):
            raise UsageError(f"the model has no float32 tensor {name!r} to observe; check the name")
    return list(dict.fromkeys(tensors))
