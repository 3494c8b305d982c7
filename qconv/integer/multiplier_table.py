"""The (S, Z, M0, n) table of an integer program, for people and for other tools."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qconv.integer.metadata import certificate_to_json, plain, shortest
from qconv.integer.program import Program
from qconv.integer.step import Step
from qconv.model.text_files import read_json
from qconv.quant.types import QuantParams


def rows_of(program: Program) -> list[dict[str, Any]]:
    """A row per quantized node, in graph order.

    Each has node, op, source (the float node), tensor (the float tensor that the output stands for, null for one on the way),
    output, scale and zero_point of the output, m0 and n where it rescales, the certificate, the tensors it reads with their scale
    and zero point as this node sees them, and the name of its bias.
    """
    return [_row(step) for step in program.quantized]


def _row(step: Step) -> dict[str, Any]:
    written = step.writes[0]
    row: dict[str, Any] = {"node": step.name, "op": step.op, "source": step.source, "tensor": written.tensor}
    row |= {"output": written.name, **_params(written.params)}
    if step.multipliers:
        for key in ("m0", "n"):
            numbers = [plain(getattr(multiplier, key)) for multiplier in step.multipliers]
            row[key] = numbers[0] if len(numbers) == 1 else numbers
    if step.certificate is not None:
        row["certificate"] = certificate_to_json(step.certificate)
    if step.rescales:
        row["inputs"] = [{"name": operand.name, **_params(operand.params)} for operand in step.reads]
    return row | ({} if step.bias is None else {"bias": step.bias.name})


def _params(params: QuantParams | None) -> dict[str, Any]:
    """Scale and zero point, one number where those of all channels are equal."""
    if params is None:
        return {"scale": None, "zero_point": None}
    return {"scale": shortest(plain(params.scale)), "zero_point": shortest(plain(params.zero_point))}


def table_of(program: Program, digest: str) -> dict[str, Any]:
    """The whole table, with what the program says of its origin; M = m0 * 2^-(31 + n).

    `digest` is the hash of the file that holds the program, by which the two are known to belong together.
    """
    origin = program.origin
    return {
        "format": "qconv-table-1",
        "model_sha256": origin.model_sha256,
        "integer_model_sha256": digest,
        "target": origin.target,
        "exact_on": origin.exact_on,
        "calibration": origin.calibration,
        "multiplier": "M = m0 * 2^-(31 + n)",
        "nodes": rows_of(program),
    }


def dumps_table(program: Program, digest: str, names: Mapping[str, str] = {}) -> str:
    """The text of the table, a line per node; `digest` as for `table_of`, `names` are those that the file has instead."""
    data = table_of(program, digest)
    for row in data["nodes"]:
        for entry, key in (*((operand, "name") for operand in row.get("inputs", ())), (row, "bias")):
            if key in entry:
                entry[key] = names.get(entry[key], entry[key])
    rows = ",\n".join(f"  {json.dumps(row)}" for row in data.pop("nodes"))
    head = json.dumps(data, indent=1)
    return f'{head[:-2]},\n "nodes": [\n{rows}\n ]\n}}\n'


def stale_table(path: Path, digest: str) -> str | None:
    """A warning where the table beside the model file `path` was written for another model; `digest` is the hash of this one."""
    table = path.with_suffix(".json")
    try:
        data = read_json(table)
    except (OSError, ValueError):  # no table, or none that could be taken for ours
        return None
    named = data.get("integer_model_sha256") if isinstance(data, dict) else None
    if named in (None, digest):
        return None
    return f"{table} belongs to another model than {path}: write both again with `qconv quantize`"
