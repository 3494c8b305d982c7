"""One job in another process: plain data in, the text of a calibration file out."""

from __future__ import annotations

from collections.abc import Sequence

from qconv import pipeline
from qconv.errors import ModelError
from qconv.pipeline import Job
from qconv.statistics.calibration import Calibration
from qconv.statistics.merge import merge
from qconv.statistics.observe import Progress

RETRIES = 3  # of a shard whose worker died


def run_job(job: Job, progress: Progress | None = None) -> str:
    """The text of the calibration file. Raises QconvError."""
    loaded = pipeline.load_prepared(job.model, job.config.fixed)
    if loaded.digest != job.digest:
        raise ModelError(f"{job.model} is another model for a worker than for the caller; give all machines the same file")
    return pipeline.run(job, loaded, job.open_samples(loaded), progress=progress).dumps()


def add_up(texts: Sequence[str]) -> Calibration:
    """The whole calibration, from the texts of all shards."""
    if len(texts) == 1:
        return Calibration.loads(texts[0], "of the worker")
    return merge({f"shard {number}": Calibration.loads(text, f"of shard {number}") for number, text in enumerate(texts, 1)})
