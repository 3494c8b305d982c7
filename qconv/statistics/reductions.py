"""Adds to a copy of a model the reductions that calibration reads, as one float32 vector per sample.

For N tensors, of which some are clamped at zero, some have their sums watched and some are sampled, the vector is

    [min of those not clamped, max_1 .. max_N, sum of those watched, elements of those sampled]

One vector instead of single scalars saves a tenth of the time of a small network. A tensor clamped at zero (Relu, Clip from 0,
and MaxPool or Concat of such) has the minimum 0 by its clamp; nobody needs a minimum above zero, because every range includes
zero. Its maximum is then taken by GlobalMaxPool where it is a picture: onnxruntime runs that in its blocked layout, so that the
tensor need not be converted to be looked at.

onnxruntime runs what a node needs in the order of the file from last to first. So the reductions of the last tensor come first in
the file: each tensor is then looked at as soon as it is there, while it is in the cache, and need not be kept until the end.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from qconv.model.appender import Appender
from qconv.model.traits import Trait, has_trait
from qconv.ops.floors import Floors
from qconv.ops.forms import clamp_bounds
from qconv.quant.types import FloatArray
from qconv.statistics.sampler import Sampler
from qconv.statistics.sampling import Sampling


@dataclass(frozen=True, eq=False)
class ReducedModel:
    """A model whose first output is the vector of reductions, and how to read it.

    `seed_input` names the input that decides what is sampled; None where every element is taken.
    """

    model: ir.Model
    clamped: tuple[bool, ...]
    summed: int
    sampling: Sampling
    seed_input: str | None

    def lo(self, vector: FloatArray) -> FloatArray:
        """The minima, [tensors]; 0 for the clamped."""
        lo = np.zeros(len(self.clamped), np.float32)
        free = np.logical_not(self.clamped)
        lo[free] = vector[: np.count_nonzero(free)]
        return lo

    def hi(self, vector: FloatArray) -> FloatArray:
        """The maxima, [tensors]."""
        start = len(self.clamped) - sum(self.clamped)
        return vector[start : start + len(self.clamped)]

    def reductions(self, vector: FloatArray) -> FloatArray:
        """Minima, maxima and sums."""
        return vector[: self._elements]

    def elements(self, vector: FloatArray) -> FloatArray:
        """The sampled elements, one tensor after the other."""
        return vector[self._elements :]

    @property
    def _elements(self) -> int:
        return 2 * len(self.clamped) - sum(self.clamped) + self.summed


def with_reductions(
    model: ir.Model, tensors: Sequence[str], summed: Collection[str] = (), sampled: Sequence[str] = (), exact: bool = False,
    floors: Floors = Floors(),
) -> ReducedModel:  # fmt: skip
    """A copy that yields the extremes of `tensors`, the sums of those in `summed`, and elements of `sampled`.

    With `exact`, those are all elements. Weights are shared. A second output tells how many elements there are of each tensor
    of free shape, where there are any. Tensors with a floor are raised to it before they are looked at.
    """
    copy = model.clone()
    appender = Appender(copy.graph)
    found_values = values_by_name(copy.graph)
    values = {name: floors.raised(found_values[name], appender) for name in dict.fromkeys((*tensors, *sampled))}
    chosen = [values[name] for name in tensors]
    clamped = tuple(name not in summed and clamped_at_zero(values[name]) for name in tensors)
    sampler = Sampler([values[name] for name in sampled], appender, exact)
    wanted = set(sampled)
    parts = {
        values[name]: _reduce(values[name], zero, name in summed, sampler if name in wanted else None, appender)
        for name, zero in reversed(list(zip(tensors, clamped, strict=True)))
    }
    rows = [parts[value] for value in chosen]
    elements = [parts[values[name]].elements for name in sampled]
    minima, maxima, sums = [row.minimum for row in rows], [row.maximum for row in rows], [row.total for row in rows]
    found = [part for part in (*minima, *maxima, *sums, *elements) if part is not None]
    lengths = [length for name in sampled if (length := parts[values[name]].length) is not None]
    counted = [appender.append("Concat", lengths, "qconv_lengths", {"axis": 0}, ir.DataType.INT64)] if lengths else []
    vector = appender.append("Concat", found, "qconv_vector", {"axis": 0})
    copy.graph.outputs[:] = [vector, *counted]
    return ReducedModel(copy, clamped, sum(row.total is not None for row in rows), sampler.sampling, sampler.seed_input)


@dataclass(frozen=True)
class _Parts:
    """What is appended for one tensor."""

    minimum: ir.Value | None
    maximum: ir.Value
    total: ir.Value | None
    elements: ir.Value | None
    length: ir.Value | None


def _reduce(value: ir.Value, clamped: bool, summed: bool, sampler: Sampler | None, appender: Appender) -> _Parts:
    elements, length = (None, None) if sampler is None else sampler.take(value)
    minimum = None if clamped else appender.reduce("ReduceMin", value)
    total = appender.reduce("ReduceSum", value) if summed else None
    return _Parts(minimum, appender.maximum(value, clamped), total, elements, length)


def values_by_name(graph: ir.Graph) -> dict[str, ir.Value]:
    """The values of the main graph by name: inputs, initializers, then node outputs in graph order."""
    values = {str(value.name): value for value in graph.inputs}
    values |= graph.initializers
    return values | {str(value.name): value for node in graph for value in node.outputs if value.name}


def clamped_at_zero(value: ir.Value) -> bool:
    """Whether a tensor cannot be negative, because of a Relu or Clip."""
    node = value.producer()
    if node is None:
        return False
    bounds = clamp_bounds(node)
    if bounds is not None:
        return bounds[0] == 0.0
    passes_on = has_trait(node, Trait.JOINS | Trait.EXTREMES)
    return passes_on and all(source is not None and clamped_at_zero(source) for source in node.inputs)
