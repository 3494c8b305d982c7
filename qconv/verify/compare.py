"""The outputs of both models, sample by sample in bounded memory: figures per output, agreement on classes, accuracy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qconv.data.source import Sample, SampleSource, known_length
from qconv.errors import DataError, ModelError
from qconv.verify.classes import Accuracy, AccuracyMeter, AgreementMeter, ClassAgreement, class_axis
from qconv.verify.metrics import Array, Similarity, SimilarityMeter
from qconv.verify.sides import Side

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class OutputReport:
    """One output of the integer model against the float model's, over all samples."""

    name: str
    similarity: Similarity
    classes: ClassAgreement | None  # None where the output is not class scores


@dataclass(frozen=True)
class Comparison:
    """Both models over all samples."""

    samples: int
    outputs: tuple[OutputReport, ...]
    accuracy: Accuracy | None


def compare(float_side: Side, integer_side: Side, source: SampleSource, progress: Progress | None = None) -> Comparison:
    """Runs every sample through both. Raises DataError without samples, ModelError where the outputs do not correspond."""
    names = float_side.outputs
    places = _places(names, integer_side.outputs)
    meters = [_OutputMeter(name) for name in names]
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


class _OutputMeter:
    """All that is counted for one output. Whether it is class scores is decided by the first sample."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._similarity = SimilarityMeter()
        self._agreement: AgreementMeter | None = None
        self._accuracy: AccuracyMeter | None = None
        self._first = True

    def add(self, reference: Array, other: Array, sample: Sample) -> None:
        if reference.shape != other.shape:
            raise ModelError(
                f"output {self._name} has shape {other.shape} in the integer model and {reference.shape} in the float model on "
                f"sample {sample.name}; the two files belong to different models"
            )
        if self._first:
            self._decide(reference, sample)
        self._similarity.add(reference, other)
        if self._agreement is not None:
            self._agreement.add(reference, other)
        if self._accuracy is not None and sample.label is not None:
            self._accuracy.add(reference, other, sample.label)

    def _decide(self, reference: Array, sample: Sample) -> None:
        self._first = False
        axis = class_axis(reference, [array.shape for array in sample.feeds.values()])
        if axis is not None:
            self._agreement, self._accuracy = AgreementMeter(axis), AccuracyMeter(self._name, axis)

    def result(self) -> OutputReport:
        agreement = None if self._agreement is None else self._agreement.result()
        return OutputReport(self._name, self._similarity.result(), agreement)

    def accuracy(self) -> Accuracy | None:
        return None if self._accuracy is None else self._accuracy.result()


def _places(wanted: list[str], names: list[str]) -> list[int]:
    """Where the integer model has the float model's outputs: by name, or by place where the names differ."""
    if set(wanted) <= set(names):
        return [names.index(name) for name in wanted]
    if len(wanted) != len(names):
        raise ModelError(
            f"the float model has {len(wanted)} outputs and the integer model {len(names)}; they belong to different models"
        )
    return list(range(len(names)))
