"""`qconv calibrate`: what values every tensor takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qconv.cli.options import PATH, data_options, exclude_option, image_options, threads_option


@click.command(short_help="Collect the ranges of all tensors over samples.")
@click.argument("model", type=PATH)
@data_options
@click.option(
    "--method", type=click.Choice(["minmax", "ema"]), default="minmax", show_default=True, help="How ranges are chosen."
)
@exclude_option
@threads_option
@click.option("-o", "--output", type=PATH, help="The calibration file.  [default: MODEL.calib.json]")
def calibrate(
    model: Path, data: str | None, samples: int | None, method: str, exclude: tuple[str, ...], threads: int, output: Path | None,
    **images: Any,
) -> None:  # fmt: skip
    """Run MODEL over samples in one streaming pass and write the range of every tensor that quantization needs.

    Without --data, samples are synthesized from the batch norms of the model, or drawn at random, with a warning.
    """
    from qconv import pipeline
    from qconv.cli.console import out, progress, warn
    from qconv.config import QuantConfig

    loaded = pipeline.load_prepared(model)
    options = image_options(**images)
    source = pipeline.samples_for(loaded, data, images=options, samples=samples)
    if source.warning:
        warn(source.warning)
    difference = pipeline.self_check(loaded, source)
    with progress("calibrating") as update:
        calibration = pipeline.calibrate(
            loaded, data, method=method, samples=samples, images=options, config=QuantConfig(exclude=exclude),
            threads=threads, progress=update,
        )  # fmt: skip
    target = output or model.with_suffix(pipeline.CALIBRATION_SUFFIX)
    calibration.save(target)
    out.print(
        f"{target}: {len(calibration.tensors)} tensors over {calibration.samples} samples of {calibration.source}, {method}"
    )
    out.print(f"simplifying the model changed its outputs by at most {difference:.1e} of their size")
