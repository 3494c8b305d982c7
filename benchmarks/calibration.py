"""Time and memory of qconv's calibration beside those of onnxruntime.quantization, as a Markdown table.

Usage: python -m benchmarks.calibration [--models GLOB]... [--rounds N] [--markdown FILE]
"""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.calibration_figures import Row, measure
from benchmarks.calibration_table import markdown
from benchmarks.cases import available, named
from benchmarks.page import Progress

NETWORKS = ("squeezenet10_winml", "mobilenet_v1_025_224_bn", "ppocr_v3_det")
TITLE = """\
# Calibration: time and memory

Written by `python -m benchmarks.calibration --markdown benchmarks/calibration.md`.

"""


@click.command()
@click.option("--models", multiple=True, default=NETWORKS, metavar="GLOB", help="Networks with such names.  [default: three]")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="How often times are taken.")
@click.option("--markdown", "target", type=click.Path(path_type=Path, dir_okay=False), help="Write the table here too.")
def main(models: tuple[str, ...], rounds: int, target: Path | None) -> None:
    """Measure the calibrators and print a Markdown table."""
    found = named(available(large=True), models)
    if not found:
        raise click.UsageError("no network has such a name; the zoo is looked for in QCONV_ZOO")
    rows: list[Row] = []
    for name, open_case in found.items():
        progress = Progress(name)
        rows.append(measure(open_case(), rounds, progress.stage))
        progress.end()
    text = TITLE + markdown(rows, rounds)
    if target is not None:
        target.write_text(text, encoding="utf-8")
    click.echo(text, nl=False)


if __name__ == "__main__":
    main()
