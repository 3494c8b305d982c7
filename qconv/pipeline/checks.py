"""What is said about the samples of a calibration: before it, as they pass, and once all have passed."""

from __future__ import annotations

from collections.abc import Callable

from qconv.calibrate import SampleSource, inputs_of
from qconv.calibrate.checks import Check, Watched, all_checks
from qconv.calibrate.data.limited import Limited
from qconv.model.load import LoadedModel, load
from qconv.pipeline.samples import synthetic

Warn = Callable[[str], None]


def checks_for(model: LoadedModel, source: SampleSource, *, part: bool = False) -> tuple[Check, ...]:
    """Those for real samples; the model is loaded again for its batch norms, which preparation folds away."""
    return all_checks(load(model.path).ir, inputs_of(model.ir), part=part) if synthetic(source) is None else ()


def check_samples(model: LoadedModel, source: SampleSource, count: int) -> list[str]:
    """What the checks of the data find in the first `count` samples, without running the model."""
    watched = Watched(Limited(source, count), checks_for(model, source))
    for _ in watched:
        pass
    return watched.findings()
