"""`qconv verify`: the integer model against its float model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qconv.cli.options import MODEL, PATH, data_options, image_options, strict_option, threads_option


@click.command(short_help="Compare the integer model with the float model over samples.")
@click.argument("model", type=MODEL)
@click.argument("quantized", type=PATH, required=False)
@data_options
@click.option(
    "--labels",
    type=PATH,
    help="A CSV of file (or index) and class, or `folders`: each folder within --data is a class.  [default: its labels.csv]",
)
@click.option("--min-sqnr", type=float, metavar="DB", help="Fail if any output has a lower SQNR.")
@click.option(
    "--min-agreement", type=float, metavar="SHARE", help="Fail if the same class is named in a smaller share of the samples."
)
@click.option("--max-drop", type=float, metavar="SHARE", help="Fail if top-1 accuracy falls by more.")
@click.option(
    "--layers",
    type=click.IntRange(0, 2**31 - 1),
    default=10,
    show_default=True,
    metavar="N",
    help="How many of the worst layers to list.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--html", type=PATH, metavar="FILE", help="Write the report as a page to look at, too; it loads nothing.")
@strict_option
@threads_option
def verify(
    model: Path, quantized: Path | None, data: str | None, samples: int | None, labels: Path | None, min_sqnr: float | None,
    min_agreement: float | None, max_drop: float | None, layers: int, as_json: bool, html: Path | None, strict: bool,
    threads: int, **images: Any,
) -> int:  # fmt: skip
    """Run MODEL and QUANTIZED (default: MODEL.int8.onnx) side by side; report outputs, layers, float nodes, exactness, cost.

    Exits with 1 when a threshold is not met, and when onnxruntime differs from exact integer arithmetic or cannot be compared
    with it. Without --data, the samples of MODEL.calib.json are used if it names any, else
    synthetic ones, with a warning.
    """
    from qconv import pipeline
    from qconv.cli.calibrations import known_calibration, recall
    from qconv.cli.console import out, progress
    from qconv.config import QuantConfig
    from qconv.verify import Thresholds
    from qconv.verify.report.render import render

    thresholds = Thresholds(min_sqnr=min_sqnr, min_agreement=min_agreement, max_drop=max_drop)
    target = quantized or model.with_suffix(".int8.onnx")
    if html is not None:
        read = (model, target, target.with_suffix(".json"), *filter(None, (labels, None if data is None else Path(data))))
        pipeline.check_outputs(read, {"the page": (html, pipeline.Kind.OTHER)})
    pictures = image_options(**images)
    if data is not None and not as_json:
        recall(known_calibration(model, None, data), QuantConfig(), pictures, data)
    with progress("verifying") as update:
        report = pipeline.verify(
            model, target, data, labels=labels, samples=samples, images=pictures, thresholds=thresholds,
            threads=threads, progress=update,
        )  # fmt: skip
    if html is not None:
        pipeline.write_report(report, html)
    if as_json:
        click.echo(report.dumps(), nl=False)
    else:
        out.print(render(report, layers=layers))
        if html is not None:
            out.print(f"the same to look at: {html}")
    warned = bool(report.warnings) or report.data.warning is not None
    return 1 if not report.verdict.passed or (strict and warned) else 0
