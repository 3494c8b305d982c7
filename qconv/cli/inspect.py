"""`qconv inspect`: what a model computes with, or what a calibration saw."""

from __future__ import annotations

from pathlib import Path

import click

from qconv.cli.options import BITS, METHODS, PATH
from qconv.cli.plotting import plot_option


@click.command(short_help="Print the (S, Z, M0, n) table of a model, or the ranges of a calibration.")
@click.argument("file", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print the whole table as JSON.")
@click.option("--method", type=click.Choice(METHODS), help="What chooses the ranges.  [default: what the calibration names]")
@click.option("--bits", type=BITS, help="Bits that the ranges are chosen for.  [default: 8]")
@plot_option
def inspect(file: Path, as_json: bool, method: str | None, bits: int | None, plot: Path | None) -> None:
    """Print what every quantized node of a model computes with, and which nodes are float.

    M = m0 * 2^-(31 + n). Of a node with a multiplier per channel, the first is shown; --json has all. Of a float model, print its
    inputs, outputs and operators, and which nodes would stay in float.

    Of a calibration, print the extremes of every tensor, the share of zeros, and the range that is chosen. --method, --bits and
    --plot are for these. Tensors stand in graph order, and method auto knows the network's outputs, whose extremes it keeps,
    where MODEL.onnx lies beside MODEL.calib.json.
    """
    if _is_json(file):
        from qconv.cli.inspect_calibration import inspect_calibration

        inspect_calibration(file, as_json, method, bits or 8, plot)
        return
    given = [name for name, value in (("--method", method), ("--bits", bits), ("--plot", plot)) if value is not None]
    if given and file.is_file():
        names = " and ".join(given)
        raise click.UsageError(f"{names}: for a calibration, and {file} is none; inspect what `qconv calibrate` writes")
    from qconv.cli.inspect_model import inspect_model

    inspect_model(file, as_json)


def _is_json(file: Path) -> bool:
    """Whether the file begins like a JSON object, as no ONNX model does; what cannot be read is told where models are read."""
    try:
        if not file.is_file():
            return False
        with file.open("rb") as stream:
            return stream.read(64).lstrip()[:1] == b"{"
    except OSError:
        return False
