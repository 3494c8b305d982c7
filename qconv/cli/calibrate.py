"""`qconv calibrate`: what values every tensor takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qconv.cli.options import (
    METHODS,
    MODEL,
    NEW_FILE,
    RULES,
    data_options,
    exclude_option,
    image_options,
    pin_option,
    threads_option,
)
from qconv.cli.plotting import plot_option
from qconv.cli.run_options import check_run_options, run_options
from qconv.sentences import counted

if TYPE_CHECKING:
    from qconv.statistics.calibration import Calibration
    from qconv.statistics.shard import Shard


@click.command(short_help="Collect the ranges of all tensors over samples.")
@click.argument("model", type=MODEL)
@data_options
@click.option(
    "--method", type=click.Choice(METHODS), default="minmax", show_default=True,
    help="How `qconv quantize` chooses ranges if it is not told; only ema must be asked for here.",
)  # fmt: skip
@click.option("--exact", is_flag=True, help="Count every element of large tensors instead of a sample of them.")
@click.option(
    "--moments", is_flag=True,
    help="Also sum up second moments of what each layer reads, in a file beside the calibration: `qconv quantize` fits weights "
    "to them where the samples are gone.",
)  # fmt: skip
@click.option("--check-data", is_flag=True, help="Only check the samples, print what was found, and write nothing.")
@exclude_option
@pin_option
@threads_option
@run_options
@plot_option
@click.option("-o", "--output", type=NEW_FILE, help="The calibration file.  [default: MODEL.calib.json]")
def calibrate(
    model: Path, data: str | None, samples: int | None, method: str, exact: bool, moments: bool, check_data: bool,
    exclude: tuple[str, ...], pin: tuple[str, ...], threads: int, shard: str | None, resume: bool, engine: str,
    workers: int | None, address: str | None, plot: Path | None, output: Path | None, **images: Any,
) -> None:  # fmt: skip
    """Run MODEL over samples in one streaming pass and write a summary of every tensor that quantization needs.

    Every method, number of bits and symmetry is served by the same file.

    Samples are checked as they pass: warnings tell of constant or repeated samples, of too few, of pictures in another scale
    than the batch norms expect, and of tensors that never move.

    Without --data, pictures or noise are made up to fit the model's batch norms and weights, with a warning. That takes seconds.

    Large sets can be cut: --shard 3/16 takes every 16th sample from the third on, and `qconv merge` adds the files up to the one
    that a single run over all samples gives, byte for byte. Progress is saved every few seconds in a file beside the result,
    with the ending .partial; after a crash, the same command with --resume goes on from there, to the same result.

    With --workers, several processes share the work, and with --engine ray, the machines of a Ray cluster, to which the model,
    the data and qconv must be known under the same paths. A worker that dies is replaced, and nothing is counted twice.
    """
    from qconv import pipeline
    from qconv.cli.console import out, progress, warn
    from qconv.cli.network import network_of
    from qconv.cli.plotting import check_plot, draw
    from qconv.config import QuantConfig
    from qconv.engines.spread import Engine, calibrate_by
    from qconv.statistics.checkpoint import progress_beside, remove_progress
    from qconv.statistics.moments_file import moments_beside
    from qconv.statistics.shard import Shard

    rules = click.get_current_context().meta.get(RULES, ())
    check_run_options(data, shard, resume, engine, workers, address)
    if moments and resume:
        raise click.UsageError("--moments keeps no progress to go on from; leave out --resume")
    check_plot(plot, check_data)
    part = Shard.parse(shard) if shard else Shard()
    target = output or _default(model, part)
    partial = progress_beside(target)
    config = QuantConfig(exclude=exclude, rules=rules, pin=pin)
    loaded = pipeline.load_prepared(model, config.fixed)
    if not check_data:
        read = [*pipeline.files_of(model, loaded.original), *([Path(data)] if data else [])]
        outputs = {"the calibration": (target, pipeline.Kind.CALIBRATION), "its progress": (partial, pipeline.Kind.PROGRESS)}
        outputs |= {"its moments": (moments_beside(target), pipeline.Kind.MOMENTS)} if moments else {}
        pipeline.check_outputs(read, outputs)
    job = pipeline.Job(
        model, loaded.digest, data, method, samples, image_options(**images), config, exact,
        threads, part, progress_file=None if check_data else partial, resume=resume,
        moments=moments and not check_data,
    )  # fmt: skip
    with progress("opening samples" if data else "making samples") as update:
        source = job.open_samples(loaded, update)
    if source.warning:
        warn(source.warning)
    difference = pipeline.self_check(loaded, source)
    findings: list[str] = []
    who = Engine() if check_data else Engine(engine, workers, address)
    with progress("calibrating") as update:
        calibration = calibrate_by(who, job, loaded, source, progress=update, warn=findings.append)
    if check_data:
        _print_check(calibration, findings)
        return
    for finding in findings:
        warn(finding)
    calibration.save(target)
    remove_progress(partial)
    out.print(f"{target}: {calibration.coverage}")
    if calibration.moments is not None:
        layers = counted(len(calibration.moments), "layer")
        out.print(f"{moments_beside(target)}: second moments of what {layers} read")
    out.print(f"simplifying the model changed its outputs by at most {difference:.1e} of their size")
    if plot is not None:
        out.print(draw(calibration, plot, job.config.activation, network_of(loaded.ir.graph)))


def _print_check(calibration: Calibration, findings: Sequence[str]) -> None:
    """Prints what --check-data has found."""
    from qconv.cli.console import out

    for finding in findings:
        out.print(f"warning: {finding}")
    warnings = counted(len(findings), "warning") if findings else "no warnings"
    out.print(f"{counted(calibration.samples, 'sample')} of {calibration.source} checked: {warnings}")


def _default(model: Path, shard: Shard) -> Path:
    from qconv.pipeline import CALIBRATION_SUFFIX

    part = "" if shard.count == 1 else f".{shard.number}of{shard.count}"
    return model.with_suffix(f"{part}{CALIBRATION_SUFFIX}")
