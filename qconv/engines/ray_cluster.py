"""Shards as tasks of a Ray cluster. A task whose worker dies is run again by Ray, and only results that arrive are counted.

The model, the data and qconv itself have to be found by every machine under the same paths and names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qconv.engines.job import RETRIES, Part, run_job
from qconv.errors import QconvError, UsageError
from qconv.pipeline import Job
from qconv.statistics.observe import Progress


def run_ray(
    jobs: Callable[[int], Sequence[Job]],
    tasks: int | None,
    address: str | None = None,
    total: int | None = None,
    progress: Progress | None = None,
) -> list[Part]:
    """The parts of the calibration that `jobs(tasks)` give, in order; as many tasks as the cluster has cores by default.

    `address` is what Ray takes: host:port, ray://host:port, auto; without it, RAY_ADDRESS, a cluster that runs on this machine,
    or a new one there. Raises what a job raises, UsageError without Ray or cluster, QconvError where a worker dies too often.
    """
    try:
        import ray
    except ImportError:
        raise UsageError("--engine ray needs Ray, which is not installed; run `pip install qconv[ray]`") from None
    ours = not ray.is_initialized()
    if ours:
        try:
            ray.init(address=address, logging_level="error", log_to_driver=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UsageError(
                f"there is no Ray cluster at {address or 'the default address'} that lets us in ({error}); check --address "
                "and, where the cluster asks for a token, RAY_AUTH_MODE and RAY_AUTH_TOKEN"
            ) from None
    try:
        return _gather(ray, jobs(tasks or max(1, int(ray.cluster_resources().get("CPU", 1)))), total, progress)
    finally:
        if ours:
            ray.shutdown()


def _gather(ray: Any, jobs: Sequence[Job], total: int | None, progress: Progress | None) -> list[Part]:
    task = ray.remote(max_retries=RETRIES)(run_job)
    pending = {task.options(num_cpus=job.threads).remote(job): index for index, job in enumerate(jobs)}
    parts: dict[int, Part] = {}
    done = 0
    while pending:
        (ready,), _ = ray.wait(list(pending), num_returns=1)
        index = pending.pop(ready)
        try:
            parts[index] = ray.get(ready)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, QconvError):
                raise error.cause from None
            raise
        except ray.exceptions.RayError as error:
            reason = str(error).splitlines()[0]
            raise QconvError(
                f"the Ray task of shard {jobs[index].shard} is lost ({reason}); check the memory of the workers"
            ) from None
        done += parts[index].calibration("of a task").samples
        if progress is not None:
            progress(done, total)
    return [parts[index] for index in range(len(jobs))]
