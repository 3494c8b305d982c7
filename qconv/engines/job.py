"""One shard as a message to another process: plain data in, the text of a calibration file out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from qconv import pipeline
from qconv.calibrate import Calibration, ImageOptions, Shard, merge
from qconv.config import QuantConfig
from qconv.errors import ModelError

WHOLE = Shard()
RETRIES = 3  # of a shard whose worker died
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Job:
    """What `pipeline.calibrate` needs to know; `digest` is the hash of the model that the one who asks has seen."""

    model: Path
    digest: str
    data: str | None
    method: str
    samples: int | None
    images: ImageOptions
    config: QuantConfig
    exact: bool
    threads: int
    shard: Shard = WHOLE
    progress_file: Path | None = None
    resume: bool = False


def run_job(job: Job, progress: Progress | None = None) -> str:
    """The text of the calibration file. Raises QconvError."""
    loaded = pipeline.load_prepared(job.model)
    if loaded.digest != job.digest:
        raise ModelError(f"{job.model} is another model for a worker than for the caller; give all machines the same file")
    calibration = pipeline.calibrate(
        loaded, job.data, method=job.method, samples=job.samples, images=job.images, config=job.config, exact=job.exact,
        threads=job.threads, progress=progress, shard=job.shard, progress_file=job.progress_file, resume=job.resume,
    )  # fmt: skip
    return calibration.dumps()


def add_up(texts: Sequence[str]) -> Calibration:
    """The whole, from the texts of all shards."""
    if len(texts) == 1:
        return Calibration.loads(texts[0], "of the worker")
    return merge({f"shard {number}": Calibration.loads(text, f"of shard {number}") for number, text in enumerate(texts, 1)})
