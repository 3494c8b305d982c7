"""The (S, Z, M0, n) table and the integer audit of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


def inspect_model(model: Path, as_json: bool) -> None:
    """Prints what every quantized node computes with, and which nodes are float. Raises ModelError."""
    from qconv.cli.console import out, warn
    from qconv.cli.inspect_float import inspect_float
    from qconv.integer.language.audit import audit
    from qconv.integer.multiplier_table import dumps_table, rows_of, stale_table
    from qconv.integer.program import Program
    from qconv.model.load import load
    from qconv.modes.weights import weights_in_codes
    from qconv.sentences import counted
    from qconv.verify.exact.processors import exact_on

    loaded = load(model)
    if stale := stale_table(model, loaded.digest):
        warn(stale)
    if as_json:
        click.echo(dumps_table(Program.read(loaded.ir), loaded.digest), nl=False)
        return
    if "qconv.version" not in loaded.ir.metadata_props:
        inspect_float(model)
        return
    program = Program.read(loaded.ir)
    if program.origin.mode != "static":
        out.print(f"mode {program.origin.mode}: activations have no fixed scales, so there is no table of multipliers")
        for line in weights_in_codes(loaded.ir.graph):
            out.print(line)
    else:
        out.print(_table(rows_of(program)))
    found = audit(loaded.ir)
    counts = ", ".join(f"{count} {op}" for op, count in sorted(found.integer.items(), key=lambda item: -item[1]))
    out.print(
        f"{counted(found.integer_nodes, 'integer node')} ({counts}), "
        f"{found.quantize} QuantizeLinear, {found.dequantize} DequantizeLinear"
    )
    out.print(f"the same codes on {', '.join(exact_on(program)) or 'no target'}")
    out.print(counted(len(found.float_nodes), "float node"))
    for node in found.float_nodes:
        out.print(f"  {node.name} ({node.op_type}): {node.reason}")


def _table(rows: list[dict[str, Any]]) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("node", "op"):
        table.add_column(title, overflow="fold")
    for title in ("S", "Z", "m0", "n", "channels", "accumulators", "proved"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        m0, n = _first(row.get("m0")), _first(row.get("n"))
        channels = len(row["m0"]) if isinstance(row.get("m0"), list) else ""
        scale, zero_point = f"{_first(row['scale']):.6g}", str(_first(row["zero_point"]))
        table.add_row(row["node"], row["op"], scale, zero_point, m0, n, str(channels), *_proof(row.get("certificate")))
    return table


def _proof(certificate: Any) -> tuple[str, str]:
    """The accumulators that a proof is about, and how many multipliers it holds for."""
    if certificate is None:
        return "", ""
    low, high, proved, scales = (certificate[key] for key in ("low", "high", "proved", "scales"))
    return f"[{low}, {high}]", "all" if proved == scales else f"{proved} of {scales}"


def _first(entry: Any) -> Any:
    while isinstance(entry, list):
        entry = entry[0]
    return "" if entry is None else entry if isinstance(entry, float) else str(entry)
