"""qconv's calibration in its two parts: the pass over the samples that serves all methods, and what each then chooses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.pacing import Clocks
from qconv import pipeline
from qconv.config import QuantConfig
from qconv.data.source import SampleSource
from qconv.model.load import LoadedModel
from qconv.pipeline.calibrate import run
from qconv.plan.outcomes import outcomes
from qconv.ranges.choices import choice_of
from qconv.ranges.methods import METHODS
from qconv.statistics.calibration import Calibration

FULLEST = "ema"  # every method reads what its pass keeps; the others' leave out the moving averages


def summarize(
    model: Path, samples: str | SampleSource, progress: Callable[[int, int | None], None] | None = None
) -> tuple[LoadedModel, Calibration]:
    """The pass, on one thread."""
    loaded = pipeline.load_prepared(model)
    spec = samples if isinstance(samples, str) else None
    job = pipeline.Job(loaded.path, loaded.digest, spec, FULLEST, threads=1)
    source = job.open_samples(loaded, None) if isinstance(samples, str) else samples
    return loaded, run(job, loaded, source, progress=progress)


def choose(loaded: LoadedModel, calibration: Calibration) -> dict[str, Clocks]:
    """Method -> the time to choose the ranges of all tensors, for the default number of bits."""
    return {method: _choose(loaded, calibration, method) for method in METHODS}


def _choose(loaded: LoadedModel, calibration: Calibration, method: str) -> Clocks:
    start = Clocks.now()
    choice = choice_of(calibration, QuantConfig().activation, method, keep=outcomes(loaded.ir.graph))
    for tensor in calibration.tensors:
        choice(tensor)
    return Clocks.now() - start
