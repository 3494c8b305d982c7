"""`qconv quantize --mode weight-only|dynamic`: the model, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from qconv.cli.console import out, progress, warn
from qconv.cli.like import ORIGIN, differences
from qconv.cli.summary import glance, grouped, print_outcome, to_json
from qconv.data.source import SampleSource
from qconv.pipeline import CALIBRATION_SUFFIX, Job, PreparedModel, Quantized, QuickCheck, samples_for, samples_of
from qconv.pipeline import quantize as make
from qconv.pipeline.samples import synthetic
from qconv.sentences import counted, some_of
from qconv.statistics.calibration import Calibration


def quantize_in_mode(loaded: PreparedModel, named: Path | None, job: Job, written: Path, *, as_json: bool, strict: bool) -> int:
    """Writes the model, prints what it is, and returns the exit code. Outputs are compared where there are real samples."""
    calibration, source = _inputs(loaded, named, job)
    warnings: list[str] = []
    if (origin := click.get_current_context().meta.get(ORIGIN)) is not None:
        warnings += differences(origin, loaded.digest, calibration, job.config)
    for warning in warnings:
        warn(warning)
    real = synthetic(source) is None
    with progress("taking second moments") as update:
        result = make(loaded, calibration, config=job.config, samples=source, threads=job.threads, progress=update)
    files = result.save(written)
    figures = glance(loaded, written, result, source) if real else QuickCheck(0, {}, ())
    if as_json:
        click.echo(to_json(loaded, files, result, figures, source, warnings), nl=False)
    else:
        _summarize(loaded, files, result, figures, source)
    return 1 if strict and (warnings or figures.warnings) else 0


def _inputs(loaded: PreparedModel, named: Path | None, job: Job) -> tuple[Calibration | None, SampleSource]:
    """The calibration that is named or lies beside the model, if there is one, and samples: given, recorded, or made up."""
    beside = loaded.path.with_suffix(CALIBRATION_SUFFIX)
    path = named or (beside if job.data is None and beside.exists() else None)
    calibration = None if path is None else Calibration.load(path)
    if job.data is not None or calibration is None:
        return calibration, samples_for(loaded, job.data, images=job.images, samples=job.samples)
    return calibration, samples_of(loaded, calibration)


def _summarize(
    loaded: PreparedModel, files: Sequence[Path], result: Quantized, figures: QuickCheck, source: SampleSource
) -> None:
    for line in (*_lines(result, files[0]), *grouped("float", result.plan.float_nodes.items(), some_of)):
        out.print(line)
    if not figures.samples:
        out.print("the outputs were not compared, because there are no real samples; give some with --data")
    print_outcome(loaded, files, figures, source)


def _lines(result: Quantized, target: Path) -> Iterator[str]:
    assert result.in_mode is not None
    found, config = result.in_mode.rewritten, result.config
    tables = f" and {counted(len(found.tables), 'table')}" if found.tables else ""
    layers = f"{counted(len(found.layers), 'layer')}{tables} with weights in codes"
    yield f"{target}: mode {config.mode}, {layers}, {counted(len(result.audit.float_nodes), 'float node')}"
    if config.mode == "dynamic":
        yield "sums are integers and exact; scales, biases and what is between the layers are float"
        return
    yield f"weights of {config.weight_bits} bits, a scale for each {config.group} of a column; between layers nothing is integer"
    if result.in_mode.samples:
        fitted = counted(found.fitted, "layer")
        yield f"codes of {fitted} fitted to the second moments of {counted(result.in_mode.samples, 'sample')}"
    else:
        yield "codes are the nearest ones, because there are no real samples to fit them to; give some with --data"
