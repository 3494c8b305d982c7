"""A calibration whose shards several workers take; the result is that of one run, byte for byte."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from qconv.calibrate import Calibration, Shard
from qconv.engines.job import Job, Progress, add_up
from qconv.engines.local import run_local
from qconv.engines.ray_cluster import run_ray


def calibrate_spread(
    job: Job, engine: str, workers: int | None, address: str | None, total: int | None = None, progress: Progress | None = None
) -> Calibration:
    """By `workers` of an engine, local or ray. `total` samples are there, for `progress`. Raises QconvError."""
    if engine == "ray":
        return calibrate_on_ray(job, workers, address, total, progress)
    return calibrate_locally(job, workers or 1, total, progress)


def calibrate_locally(job: Job, workers: int, total: int | None = None, progress: Progress | None = None) -> Calibration:
    """By `workers` processes, which share the cores; each saves its progress in a file of its own, beside `job.progress_file`."""
    threads = job.threads or max(1, (os.cpu_count() or 1) // workers)
    jobs = [_with_file(part) for part in _cut(replace(job, threads=threads), workers)]
    return add_up(run_local(jobs, total, progress))


def calibrate_on_ray(
    job: Job, tasks: int | None, address: str | None, total: int | None = None, progress: Progress | None = None
) -> Calibration:
    """By tasks on a Ray cluster, each with one core unless `job.threads` says more."""
    data = str(Path(job.data).resolve()) if job.data is not None and Path(job.data).exists() else job.data
    ready = replace(job, model=job.model.resolve(), data=data, threads=job.threads or 1, progress_file=None)
    return add_up(run_ray(lambda count: _cut(ready, count), tasks, address, total, progress))


def _cut(job: Job, count: int) -> Sequence[Job]:
    return [replace(job, shard=Shard(number, count)) for number in range(1, count + 1)]


def _with_file(job: Job) -> Job:
    if job.progress_file is None:
        return job
    name = f"{job.progress_file.name}.{job.shard.number}of{job.shard.count}"
    return replace(job, progress_file=job.progress_file.with_name(name))
