"""The figures of qconv beside those of onnxruntime.quantization, one row a network, as a Markdown table.

Usage: python -m benchmarks.bench [--models GLOB]... [--quick] [--markdown FILE]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import click

from benchmarks.cases import available
from benchmarks.measure import QUICK, Effort, Row, measure
from benchmarks.table import markdown
from qconv.errors import QconvError


@click.command()
@click.option("--models", multiple=True, metavar="GLOB", help="Only networks with such names.")
@click.option("--quick", is_flag=True, help="Coarse times, and no memory figures.")
@click.option("--markdown", "target", type=click.Path(path_type=Path, dir_okay=False), help="Write the table here too.")
def main(models: tuple[str, ...], quick: bool, target: Path | None) -> None:
    """Measure qconv against onnxruntime.quantization and print a Markdown table."""
    found = {name: case for name, case in available().items() if not models or any(fnmatchcase(name, glob) for glob in models)}
    if not found:
        raise click.UsageError("no network has such a name; the zoo is looked for in QCONV_ZOO")
    rows: list[Row] = []
    problems: list[str] = []
    for name, open_case in found.items():
        progress = _Progress(name)
        try:
            rows.append(measure(open_case(), QUICK if quick else Effort(), progress.stage))
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


class _Progress:
    """Says on stderr which stage runs, and how long each took."""

    def __init__(self, name: str) -> None:
        click.echo(f"{name}:", nl=False, err=True)
        self._started: float | None = None

    def stage(self, name: str) -> None:
        self._finish()
        click.echo(f" {name}", nl=False, err=True)
        self._started = time.perf_counter()

    def end(self) -> None:
        self._finish()
        click.echo(err=True)

    def _finish(self) -> None:
        if self._started is not None:
            click.echo(f" {time.perf_counter() - self._started:.1f} s", nl=False, err=True)


if __name__ == "__main__":
    main()
