"""The calibration that a command works with, and what it knows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qconv.config import QuantConfig
    from qconv.data.image_options import ImageOptions
    from qconv.data.source import SampleSource
    from qconv.pipeline import Job, PreparedModel
    from qconv.statistics.calibration import Calibration


def known_calibration(model: Path, named: Path | None, data: str | None) -> Calibration | None:
    """The calibration that is named or lies beside the model; beside other samples, one that is of this model and whole.

    Raises ArtifactError for a file that should be used and cannot be.
    """
    from qconv.errors import ArtifactError
    from qconv.model.read import has_digest
    from qconv.pipeline import CALIBRATION_SUFFIX
    from qconv.statistics.calibration import Calibration

    path = named or model.with_suffix(CALIBRATION_SUFFIX)
    if named is None and not path.exists():
        return None
    try:
        found = Calibration.load(path)
    except ArtifactError:
        if named is None and data is not None:
            return None
        raise
    return found if named is not None or data is None or has_digest(model, found.model_sha256) else None


def recall(
    known: Calibration | None, config: QuantConfig, images: ImageOptions, data: str | None
) -> tuple[QuantConfig, ImageOptions]:
    """The settings with what the calibration was made with where nothing else is said, which is told."""
    from qconv import pipeline
    from qconv.cli.console import out
    from qconv.data.image_options import ImageOptions
    from qconv.statistics.setup import Setup

    if known is None:
        return config, images
    whole, pictures = pipeline.recalled(config, known.setup), pipeline.recalled_images(images, known.setup)
    taken = Setup(
        pictures if data is not None and pictures != images else ImageOptions(),
        tuple(whole.exclude) if whole.exclude != config.exclude else (),
        tuple(whole.pin) if whole.pin != config.pin else (),
    )
    if taken.words:
        out.print(f"as the calibration was made: {taken.words}")
    return whole, pictures


def calibration_of(
    loaded: PreparedModel, known: Calibration | None, job: Job, *, named: bool
) -> tuple[Calibration, SampleSource, list[str]]:
    """The `known` calibration where it is named or there are no other samples, else a new one, which is not kept; samples to
    measure with; findings about them.
    """
    from qconv import pipeline
    from qconv.cli.console import out, progress

    if known is not None and (named or job.data is None):
        return known, job.open_samples(loaded) if job.data else pipeline.samples_of(loaded, known), []
    if known is not None:
        beside = loaded.path.with_suffix(pipeline.CALIBRATION_SUFFIX)
        out.print(f"the ranges come from {job.data}; {beside} stays as it is")
    with progress("opening samples" if job.data else "making samples") as update:
        source = job.open_samples(loaded, update)
    pipeline.self_check(loaded, source)
    findings: list[str] = []
    with progress("calibrating") as update:
        found = pipeline.run(job, loaded, source, progress=update, warn=findings.append)
    return found, source, findings
