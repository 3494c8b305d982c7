"""One job in another process: plain data in, the contents of a calibration's files out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO

from qconv import pipeline
from qconv.errors import ModelError
from qconv.pipeline import Job
from qconv.statistics.calibration import Calibration
from qconv.statistics.merge import merge
from qconv.statistics.moments_file import StoredMoments, write_moments
from qconv.statistics.observe import Progress

RETRIES = 3  # of a shard whose worker died


@dataclass(frozen=True)
class Part:
    """What a worker found: the text of a calibration file, and the bytes of the second moments beside it, if any were taken."""

    text: str
    moments: bytes | None = None

    def calibration(self, where: str) -> Calibration:
        """The calibration, for which `where` names the worker."""
        found = Calibration.loads(self.text, where)
        return found if self.moments is None else replace(found, moments=StoredMoments(BytesIO(self.moments), where))


def run_job(job: Job, progress: Progress | None = None) -> Part:
    """What the files of the calibration hold. Raises QconvError."""
    loaded = pipeline.load_prepared(job.model, job.config.fixed)
    if loaded.digest != job.digest:
        raise ModelError(f"{job.model} is another model for a worker than for the caller; give all machines the same file")
    found = pipeline.run(job, loaded, job.open_samples(loaded), progress=progress)
    if found.moments is None:
        return Part(found.dumps())
    stream = BytesIO()
    write_moments(found.moments, stream)
    return Part(found.dumps(), stream.getvalue())


def add_up(parts: Sequence[Part]) -> Calibration:
    """The whole, from the parts of all shards."""
    if len(parts) == 1:
        return parts[0].calibration("of the worker")
    return merge({f"shard {number}": part.calibration(f"of shard {number}") for number, part in enumerate(parts, 1)})
