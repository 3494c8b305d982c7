"""Which samples a stage works with: those that are named, those of an earlier calibration, or synthetic ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qconv.data.given import GivenSource
from qconv.data.image_options import ImageOptions
from qconv.data.limited import Limited
from qconv.data.source import InputInfo, SampleSource
from qconv.data_free.distilled import MovedSource
from qconv.data_free.synthetic import SyntheticSource
from qconv.errors import UsageError
from qconv.pipeline.open_source import open_source
from qconv.pipeline.prepared import PreparedModel
from qconv.statistics.calibration import Calibration

SYNTHETIC_ELEMENTS = 1 << 24
Data = str | Path | SampleSource | Mapping[str, Any] | Iterable[Any] | Callable[[], Iterable[Any]]


def samples_for(
    model: PreparedModel,
    data: Data | None,
    *,
    images: ImageOptions = ImageOptions(),
    labels: str | Path | Iterable[Any] | None = None,
    samples: int | None = None,
) -> SampleSource:
    """Opens the samples that `data` names or holds, or synthetic ones; `samples` takes only the first. Raises DataError.

    `data` is the path of an .npz or a folder, `module:function`, a source, or what qconv/data/given.py takes.
    """
    if labels is not None and (not isinstance(labels, str | Path) or not isinstance(data, str | Path | None)):
        raise UsageError(
            "labels are the path of a file beside samples of a path; samples from Python have theirs in an array 'labels' beside "
            "those of the inputs"
        )
    label_file = None if labels is None else Path(labels)
    inputs = model.inputs
    original = model.with_batchnorms if data is None else None
    if not isinstance(data, str | Path | None):
        held: SampleSource = data if isinstance(data, SampleSource) else GivenSource(data, inputs)
        return held if samples is None else Limited(held, samples)
    data = None if data is None else str(data)
    source = open_source(data, inputs, images, labels=label_file, original=original, count=_synthetic_count(inputs))
    return source if samples is None else Limited(source, samples)


def samples_of(
    model: PreparedModel, calibration: Calibration, *, labels: str | Path | Iterable[Any] | None = None
) -> SampleSource:
    """The samples that a calibration was made with, or synthetic ones where they are not a file or are gone."""
    recorded = recorded_samples(model, calibration, labels=labels)
    return samples_for(model, None) if recorded is None else recorded


def recorded_samples(
    model: PreparedModel, calibration: Calibration, *, labels: str | Path | Iterable[Any] | None = None
) -> SampleSource | None:
    """The samples that a calibration was made with; None where they are not a file or are gone."""
    spec = calibration.data
    if spec is None or not Path(spec.path).exists():
        return None
    return samples_for(model, spec.path, images=calibration.setup.images, labels=labels, samples=spec.samples)


def synthetic(source: SampleSource) -> SyntheticSource | None:
    """The source itself, or what it limits or moves, if its samples are made up."""
    whole = source.source if isinstance(source, Limited) else source.origin if isinstance(source, MovedSource) else source
    return whole if isinstance(whole, SyntheticSource) else None


def _synthetic_count(inputs: Sequence[InputInfo]) -> int:
    """How many synthetic samples to make: 64, but fewer of inputs so large that making them would take the time."""
    elements = sum(math.prod(size or 1 for size in info.shape) for info in inputs)
    return min(64, max(4, SYNTHETIC_ELEMENTS // max(elements, 1)))
