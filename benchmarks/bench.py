"""The figures of qconv beside those of onnxruntime.quantization, one row a network, as a Markdown table.

Usage: python -m benchmarks.bench [--models GLOB]... [--quick] [--markdown FILE]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.cases import available, named
from benchmarks.measure import LATENCY_SECONDS, QUICK_SECONDS, Row, measure
from benchmarks.page import Progress
from benchmarks.table import markdown
from qconv.errors import QconvError


@click.command()
@click.option("--models", multiple=True, metavar="GLOB", help="Only networks with such names.")
@click.option("--quick", is_flag=True, help="Coarse times.")
@click.option("--markdown", "target", type=click.Path(path_type=Path, dir_okay=False), help="Write the table here too.")
def main(models: tuple[str, ...], quick: bool, target: Path | None) -> None:
    """Measure qconv against onnxruntime.quantization and print a Markdown table."""
    found = named(available(), models)
    if not found:
        raise click.UsageError("no network has such a name; the zoo is looked for in QCONV_ZOO")
    rows: list[Row] = []
    problems: list[str] = []
    for name, open_case in found.items():
        progress = Progress(name)
        try:
            rows.append(measure(open_case(), QUICK_SECONDS if quick else LATENCY_SECONDS, progress.stage))
        except QconvError as error:
            problems.append(f"{name}: {error}")
        progress.end()
    _write(rows, problems, target)
    sys.exit(1 if problems else 0)


def _write(rows: Sequence[Row], problems: Sequence[str], target: Path | None) -> None:
    text = markdown(rows, problems)
    if target is not None:
        target.write_text(text, encoding="utf-8")
    click.echo(text, nl=False)


if __name__ == "__main__":
    main()
