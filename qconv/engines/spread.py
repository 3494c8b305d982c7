"""A calibration by whoever is to do it; cut into shards or not, the result is that of one run, byte for byte."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qconv import pipeline
from qconv.data.source import SampleSource, known_length
from qconv.engines.job import add_up
from qconv.engines.local import run_local
from qconv.engines.ray_cluster import run_ray
from qconv.errors import UsageError
from qconv.pipeline import Job, PreparedModel, Warn
from qconv.statistics.calibration import Calibration
from qconv.statistics.checkpoint import progress_of
from qconv.statistics.observe import Progress
from qconv.statistics.shard import Shard

_FEW_PROCESSES = 16  # that every machine bears
CHECKED = 256  # samples that are checked for several workers, before they begin


@dataclass(frozen=True)
class Engine:
    """Who does the work: this process, or `workers` processes of this machine ("local"), or tasks of a Ray cluster ("ray")."""

    name: str = "local"
    workers: int | None = None
    address: str | None = None

    @property
    def alone(self) -> bool:
        """Whether this process does the work alone."""
        return self.name == "local" and self.workers in (None, 1)


def calibrate_by(
    engine: Engine, job: Job, model: PreparedModel, source: SampleSource, *, progress: Progress, warn: Warn
) -> Calibration:
    """Calibrates as `pipeline.run` does; workers open model and samples themselves, and the first samples are checked here.

    Raises QconvError.
    """
    if engine.alone:
        return pipeline.run(job, model, source, progress=progress, warn=warn)
    for finding in pipeline.check_samples(model, source, CHECKED):
        warn(finding)
    total = known_length(source)
    if engine.name == "ray":
        parts = run_ray(lambda tasks: _for_cluster(job, tasks), engine.workers, engine.address, total, progress)
    else:
        parts = run_local(_for_processes(job, _bearable(engine.workers or 1, total)), total, progress)
    calibration = add_up(parts)
    for finding in calibration.still:
        warn(finding)
    return calibration


def _bearable(workers: int, total: int | None) -> int:
    """As many processes as there are samples, at most. Raises UsageError for more than a machine bears."""
    needed, most = min(workers, max(total or workers, 1)), max(_FEW_PROCESSES, 4 * (os.cpu_count() or 1))
    if needed > most:
        raise UsageError(f"--workers {workers} would start {needed} processes on {os.cpu_count()} cores; give {most} at most")
    return needed


def _for_processes(job: Job, workers: int) -> Sequence[Job]:
    """The processes share the cores; each saves its progress in a file of its own, beside `job.progress_file`."""
    ready = replace(job, threads=job.threads or max(1, (os.cpu_count() or 1) // workers))
    return [_with_file(part) for part in _cut(ready, workers)]


def _for_cluster(job: Job, tasks: int) -> Sequence[Job]:
    """A task has one core unless `job.threads` says more."""
    data = str(Path(job.data).resolve()) if job.data is not None and Path(job.data).exists() else job.data
    ready = replace(job, model=job.model.resolve(), data=data, threads=job.threads or 1, progress_file=None)
    return _cut(ready, tasks)


def _cut(job: Job, count: int) -> Sequence[Job]:
    return [replace(job, shard=Shard(number, count)) for number in range(1, count + 1)]


def _with_file(job: Job) -> Job:
    return job if job.progress_file is None else replace(job, progress_file=progress_of(job.progress_file, job.shard))
