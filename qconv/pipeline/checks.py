"""What is said about the samples of a calibration: before it, as they pass, and once all have passed."""

from __future__ import annotations

from collections.abc import Callable

from qconv.calibrate import SampleSource, inputs_of
from qconv.calibrate.checks import Check, Watched, all_checks
from qconv.calibrate.data.limited import Limited
from qconv.pipeline.prepared import PreparedModel
from qconv.pipeline.samples import synthetic

Warn = Callable[[str], None]


def checks_for(model: PreparedModel, source: SampleSource, *, part: bool = False) -> tuple[Check, ...]:
    """Those for real samples."""
    return all_checks(model.front, inputs_of(model.ir), part=part) if synthetic(source) is None else ()


def check_samples(model: PreparedModel, source: SampleSource, count: int) -> list[str]:
    """What the checks of the data find in the first `count` samples, without running the model."""
    watched = Watched(Limited(source, count), checks_for(model, source))
    for _ in watched:
        pass
    return watched.findings()
