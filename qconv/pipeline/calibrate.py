"""Samples -> Calibration: one streaming pass, or the part of it that is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

from qconv.arguments import checks_arguments
from qconv.config import QuantConfig
from qconv.data.checks.watched import Watched
from qconv.data.image_options import ImageOptions
from qconv.data.source import SampleSource
from qconv.data.strided import Strided
from qconv.data_free.ranges import data_free_ranges
from qconv.model.memory import give_memory_back
from qconv.pipeline.checks import Warn, checks_for
from qconv.pipeline.job import Job
from qconv.pipeline.prepared import AnyModel, PreparedModel, prepared, self_check
from qconv.pipeline.recall import setup_of
from qconv.pipeline.samples import Data, samples_for, synthetic
from qconv.pipeline.within_pins import within_pins
from qconv.plan.make import bounded_tensors, tensors_to_observe
from qconv.plan.outcomes import outcomes
from qconv.recover.second_moments import PILOTS, MomentsObserver
from qconv.statistics.calibration import Calibration
from qconv.statistics.checkpoint import Checkpoint
from qconv.statistics.observe import Progress
from qconv.statistics.observe import calibrate as collect
from qconv.statistics.shard import Coverage, Shard
from qconv.statistics.summary import Summary


@checks_arguments
def calibrate(
    model: AnyModel | PreparedModel, data: Data | None = None, *, method: str = "minmax",
    samples: int | None = None, images: ImageOptions = ImageOptions(), config: QuantConfig = QuantConfig(),
    exact: bool = False, threads: int = 0, progress: Progress | None = None, warn: Warn | None = None,
    shard: Shard = Shard(), progress_file: Path | None = None, resume: bool = False, moments: bool = False,
) -> Calibration:  # fmt: skip
    """Summarizes all tensors that a plan will ask for, in one streaming pass; `method` is what ranges are chosen by later.

    `data` is an .npz, a folder of arrays or images, `module:function`, or samples at hand (qconv/data/given.py); without it,
    synthetic ones are made. With `warn`, the samples are checked as they pass (qconv/data/checks), and it is called with every
    finding.
    `shard` takes a part of the samples, to be merged later. Every few seconds progress is saved in `progress_file`, which the
    caller removes once the result is safe; `resume` goes on from there. With `moments`, second moments of what the layers read
    are taken as well (qconv/recover/second_moments.py), and no progress is kept. `progress` counts samples, and before that
    the rounds in which synthetic ones are made. The prepared model is compared with its file on a few samples first.
    Raises ModelError, DataError, UsageError, or ArtifactError where the progress is of another run.
    """
    loaded = prepared(model, config.fixed)
    spec = str(data) if isinstance(data, str | Path) else None
    source = None if data is None or spec is not None else samples_for(loaded, data, samples=samples)
    job = Job(
        loaded.path, loaded.digest, spec, method, samples, images, config, exact, threads, shard, progress_file, resume, moments
    )  # fmt: skip
    opened = job.open_samples(loaded, progress) if source is None else source
    self_check(loaded, opened)
    return run(job, loaded, opened, progress=progress, warn=warn)


def run(
    job: Job, model: PreparedModel, source: SampleSource, *, progress: Progress | None = None, warn: Warn | None = None
) -> Calibration:
    """Does a job whose model and samples are open; what it takes and raises is as for `calibrate`."""
    job = replace(job, config=model.pinned(job.config))
    tensors = tensors_to_observe(model.ir.graph, job.config)
    unkept = job.averages or job.moments
    keeper = Checkpoint(None if unkept else job.progress_file, job.identity(source, tensors), resume=job.resume)
    part = _remaining(source, job.shard, keeper.done)
    watched = Watched(part, () if warn is None else checks_for(model, source, part=part.first > 0 or part.step > 1))
    observer = MomentsObserver(model.ir, islice(iter(source), PILOTS), job.threads) if job.moments else None
    latest = collect(
        within_pins(model.ir, job.config.pins), tensors, watched, averages=job.averages, exact=job.exact, threads=job.threads,
        progress=_counted_from(keeper.done, progress), keep=keeper.keep,
        watch=None if observer is None else observer.observe, first=part.first, step=part.step,
    )  # fmt: skip
    give_memory_back()
    summaries = keeper.with_earlier(latest)
    calibration = Calibration(
        model.digest, job.method, keeper.seen, source.description, source.warning, summaries, job.data_spec,
        _derived(job, model, source, summaries), _coverage(job, keeper.seen), setup_of(job.config, job.images),
        None if observer is None else observer.moments(),
    )  # fmt: skip
    if warn is not None:
        for finding in (*watched.findings(), *calibration.still):
            warn(finding)
    return calibration


def _remaining(source: SampleSource, shard: Shard, done: int) -> Strided:
    """The samples of a shard without those that an earlier run has done."""
    return Strided(source, shard.number - 1 + done * shard.count, shard.count)


def _counted_from(done: int, progress: Progress | None) -> Progress | None:
    """Adds the samples that an earlier run has done."""
    if progress is None:
        return None
    return lambda more, total: progress(done + more, None if total is None else done + total)


def _derived(
    job: Job, model: PreparedModel, source: SampleSource, summaries: Mapping[str, Summary]
) -> dict[str, tuple[float, float]]:
    """The ranges of all tensors where the samples are synthetic; none where they are real, and a method shall choose.

    What the mathematics of an op bound takes all of it: no synthetic sample makes a network sure of anything.
    """
    made_up = synthetic(source)
    if made_up is None:
        return {}
    extremes = {name: (summary.lo, summary.hi) for name, summary in summaries.items()}
    graph = model.with_batchnorms.graph
    exact = {**made_up.exact, **bounded_tensors(model.ir.graph, job.config)}
    return data_free_ranges(extremes, graph, exact=exact, outcomes=outcomes(model.ir.graph))


def _coverage(job: Job, seen: int) -> Coverage | None:
    """Which shard this is; None for the whole."""
    return Coverage(job.shard.count, {job.shard.number: seen}, job.exact) if job.shard.count > 1 else None
