"""The calibration that a command works with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qconv.data.source import SampleSource
    from qconv.pipeline import Job, PreparedModel
    from qconv.statistics.calibration import Calibration


def calibration_of(loaded: PreparedModel, path: Path | None, job: Job) -> tuple[Calibration, SampleSource, list[str]]:
    """The calibration that is named or lies beside the model, else a new one; samples to measure with; findings about them."""
    from qconv import pipeline
    from qconv.cli.console import progress
    from qconv.statistics.calibration import Calibration

    beside = loaded.path.with_suffix(pipeline.CALIBRATION_SUFFIX)
    if path is not None or (job.data is None and beside.exists()):
        found = Calibration.load(path or beside)
        return found, job.open_samples(loaded) if job.data else pipeline.samples_of(loaded, found), []
    with progress("opening samples" if job.data else "making samples") as update:
        source = job.open_samples(loaded, update)
    pipeline.self_check(loaded, source)
    findings: list[str] = []
    with progress("calibrating") as update:
        found = pipeline.run(job, loaded, source, progress=update, warn=findings.append)
    return found, source, findings
