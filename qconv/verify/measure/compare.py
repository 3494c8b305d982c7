"""The outputs of both models, sample by sample in bounded memory: figures per output, agreement on classes, accuracy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from qconv.data.source import Sample, SampleSource, known_length
from qconv.errors import DataError, ModelError
from qconv.verify.measure.band import BandMeter
from qconv.verify.measure.classes import Accuracy, AccuracyMeter, AgreementMeter, ClassAgreement, class_axis
from qconv.verify.measure.metrics import Array, Similarity, SimilarityMeter
from qconv.verify.measure.parts import Part
from qconv.verify.measure.sides import Side

Progress = Callable[[int, int | None], None]


_DEAD = 4  # values of the integer model; fewer are dead
_MOVING = 16  # values of the float model; fewer may be what it is meant to give, as in a mask


@dataclass(frozen=True)
class PartReport:
    """An output, or the float tensor that a Concat made a part of it; dead where the integer model stands still by itself.

    `band_db` is the SQNR of what varies in reals that are all on one side of zero, in dB; None for others.
    """

    tensor: str
    similarity: Similarity
    dead: bool
    band_db: float | None = None


@dataclass(frozen=True)
class OutputReport:
    """One output of the integer model against the float model's, over all samples, and the parts that a Concat joined.

    `unlike` samples have another size in the integer model, as where other boxes are kept; no figure is of them.
    """

    name: str
    similarity: Similarity
    classes: ClassAgreement | None  # None where the output is not class scores
    dead: bool = False
    parts: tuple[PartReport, ...] = ()
    unlike: int = 0
    band_db: float | None = None

    @property
    def whole(self) -> PartReport:
        """The output as its own only part."""
        return PartReport(self.name, self.similarity, self.dead, self.band_db)


@dataclass(frozen=True)
class Comparison:
    """The comparison of both models over all samples."""

    samples: int
    outputs: tuple[OutputReport, ...]
    accuracy: Accuracy | None


def compare(
    float_side: Side, integer_side: Side, source: SampleSource, progress: Progress | None = None,
    parts: Mapping[str, tuple[Part, ...]] = MappingProxyType({}),
) -> Comparison:  # fmt: skip
    """Runs every sample through both, and looks at `parts` of outputs by themselves.

    Raises DataError without samples, ModelError where the outputs do not correspond.
    """
    float_side.read_as(integer_side)
    names = float_side.outputs
    places = _places(names, integer_side.outputs)
    free = [_free_axes(shape) for shape in float_side.shapes]
    meters = [_OutputMeter(name, parts.get(name, ()), axes) for name, axes in zip(names, free, strict=True)]
    samples = 0
    for sample in source:
        reference, theirs = float_side.run(sample.feeds), integer_side.run(sample.feeds)
        for meter, place, array in zip(meters, places, reference, strict=True):
            meter.add(array, theirs[place], sample)
        samples += 1
        if progress is not None:
            progress(samples, known_length(source))
    if not samples:
        raise DataError(f"{source.description} has no samples; give at least one")
    accuracies = (meter.accuracy() for meter in meters)
    return Comparison(samples, tuple(meter.result() for meter in meters), next((a for a in accuracies if a is not None), None))


class _PartMeter:
    """What is counted for an output or a part of it."""

    def __init__(self, tensor: str) -> None:
        self._tensor = tensor
        self._similarity = SimilarityMeter()
        self._band = BandMeter()
        self._values: tuple[set[float], set[float]] = (set(), set())  # float, integer; no more than it takes to decide

    def add(self, reference: Array, other: Array) -> None:
        self._similarity.add(reference, other)
        self._band.add(reference)
        theirs, ours = self._values
        if len(ours) < _DEAD or len(theirs) < _MOVING:
            theirs.update(np.unique(reference)[:_MOVING].tolist())
            ours.update(np.unique(other)[:_DEAD].tolist())

    def result(self) -> PartReport:
        theirs, ours = self._values
        similarity = self._similarity.result()
        dead = len(theirs) >= _MOVING and len(ours) < _DEAD
        return PartReport(self._tensor, similarity, dead, self._band.db(similarity.sqnr_db))


class _OutputMeter:
    """All that is counted for one output. Whether it is class scores is decided by the first sample."""

    def __init__(self, name: str, parts: tuple[Part, ...], free: frozenset[int]) -> None:
        self._name, self._free, self._unlike = name, free, 0
        self._whole = _PartMeter(name)
        self._parts = [(part, _PartMeter(part.tensor)) for part in parts]
        self._agreement: AgreementMeter | None = None
        self._accuracy: AccuracyMeter | None = None
        self._first = True

    def add(self, reference: Array, other: Array, sample: Sample) -> None:
        reference, other = _as_array(reference), _as_array(other)
        if reference.shape != other.shape:
            self._add_unlike(reference, other, sample)
            return
        if self._first:
            self._decide(reference, sample)
        self._whole.add(reference, other)
        for part, meter in self._parts:
            meter.add(part.of(reference), part.of(other))
        if self._agreement is not None:
            self._agreement.add(reference, other)
        if self._accuracy is not None and sample.label is not None:
            self._accuracy.add(reference, other, sample.label)

    def _add_unlike(self, reference: Array, other: Array, sample: Sample) -> None:
        """Counts a sample whose size follows from its values. Raises ModelError where the model declares another size."""
        differing = {axis for axis, (a, b) in enumerate(zip(reference.shape, other.shape, strict=False)) if a != b}
        if reference.ndim != other.ndim or not differing <= self._free:
            raise ModelError(
                f"output {self._name} has shape {other.shape} in the integer model and {reference.shape} in the float model on "
                f"sample {sample.name}; the two files belong to different models"
            )
        self._unlike += 1

    def _decide(self, reference: Array, sample: Sample) -> None:
        self._first = False
        axis = class_axis(reference, [array.shape for array in sample.feeds.values()])
        if axis is not None:
            self._agreement, self._accuracy = AgreementMeter(axis), AccuracyMeter(self._name, axis)

    def result(self) -> OutputReport:
        agreement = None if self._agreement is None else self._agreement.result()
        whole, parts = self._whole.result(), tuple(meter.result() for _, meter in self._parts)
        similarity = whole.similarity
        if self._unlike and not similarity.elements:
            similarity = Similarity(-math.inf, 0.0, math.inf, 0)
        return OutputReport(self._name, similarity, agreement, whole.dead, parts, self._unlike, whole.band_db)

    def accuracy(self) -> Accuracy | None:
        return None if self._accuracy is None else self._accuracy.result()


def _free_axes(shape: Sequence[object]) -> frozenset[int]:
    """The axes whose size a model leaves open."""
    return frozenset(axis for axis, size in enumerate(shape) if not isinstance(size, int))


def _as_array(output: Array | list[Array] | None) -> Array:
    """An output as an array: the elements of a sequence in a row, and none of an optional one that is missing."""
    if isinstance(output, np.ndarray):
        return output
    return np.concatenate([np.ravel(part) for part in output]) if output else np.zeros(0, np.float32)


def _places(wanted: list[str], names: list[str]) -> list[int]:
    """Where the integer model has the float model's outputs: by name, or by place where the names differ."""
    if set(wanted) <= set(names):
        return [names.index(name) for name in wanted]
    if len(wanted) != len(names):
        raise ModelError(
            f"the float model has {len(wanted)} outputs and the integer model {len(names)}; they belong to different models"
        )
    return list(range(len(names)))
