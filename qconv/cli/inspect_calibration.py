"""What a calibration saw of every tensor, and the ranges that follow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from qconv.cli.network import Network
    from qconv.quant.types import Scheme
    from qconv.statistics.calibration import Calibration

FORMAT = "qconv-ranges-1"


def inspect_calibration(file: Path, as_json: bool, method: str | None, bits: int, plot: Path | None) -> None:
    """Prints a table or JSON, and draws pictures where a folder is given. Raises ArtifactError, OutputError."""
    from qconv.cli.console import err, out, warn
    from qconv.cli.network import Network, network_beside
    from qconv.cli.plotting import draw
    from qconv.config import QuantConfig
    from qconv.statistics.calibration import Calibration

    calibration = _with_method(Calibration.load(file), method)
    network = network_beside(file, calibration) or Network()
    scheme = QuantConfig(activation_bits=bits).activation
    rows = _rows(calibration, scheme, network)
    if as_json:
        document = {"format": FORMAT, **calibration.origin(), "bits": bits, "tensors": rows}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        for warning in calibration.warnings:
            warn(warning)
        out.print(_table(rows))
        out.print(f"{calibration.coverage}, {bits} bits")
    if plot is not None:
        (err if as_json else out).print(draw(calibration, plot, scheme, network))


def _with_method(calibration: Calibration, method: str | None) -> Calibration:
    from dataclasses import replace

    return calibration if method is None else replace(calibration, method=method)


def _rows(calibration: Calibration, scheme: Scheme, network: Network) -> list[dict[str, Any]]:
    """What the JSON holds of each tensor; `zeros` is how many of the `elements` that were looked at."""
    from qconv.ranges.choices import choice_of
    from qconv.statistics.order import in_order

    choose = choice_of(calibration, scheme, keep=network.outcomes)
    rows: list[dict[str, Any]] = []
    for name in in_order(calibration.tensors, network.order):
        summary, choice = calibration.tensors[name], choose(name)
        assert choice is not None
        rows.append({
            "tensor": name, "samples": summary.samples, "min": summary.lo, "max": summary.hi,
            "zeros": summary.zeros, "elements": summary.elements, "method": choice.method, "range": list(choice.range),
        })  # fmt: skip
    return rows


def _table(rows: list[dict[str, Any]]) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("tensor", overflow="fold")
    for title in ("samples", "min", "max", "zeros %", "range", ""):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("method", no_wrap=True)
    for row in rows:
        share = f"{100 * row['zeros'] / row['elements']:.1f}" if row["elements"] else ""
        figures = [f"{value:.5g}" for value in (row["min"], row["max"])]
        chosen = [f"{value:.5g}" for value in row["range"]]
        table.add_row(row["tensor"], str(row["samples"]), *figures, share, *chosen, row["method"])
    return table
