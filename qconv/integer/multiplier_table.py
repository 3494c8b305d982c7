"""The (S, Z, M0, n) table of an integer graph, read from the metadata and the constants of its nodes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx_ir as ir

from qconv.integer.language.multipliers import constant
from qconv.integer.language.operands import layout_of

PREFIX = "qconv."


def rows_of(model: ir.Model) -> list[dict[str, Any]]:
    """A row per quantized node, in graph order.

    Each has node, op, source (the float node), tensor (the float tensor), output, scale and zero_point of the output, m0 and n
    where it rescales, the tensors it reads with their scale and zero point as this node sees them, and the name of its bias.
    """
    rows = []
    for node in model.graph:
        properties = node.metadata_props
        if f"{PREFIX}scale" not in properties:
            continue
        row: dict[str, Any] = {
            "node": node.name,
            "op": node.op_type,
            "source": properties[f"{PREFIX}source"],
            "tensor": properties[f"{PREFIX}tensor"],
            "output": node.outputs[0].name,
        }
        for key in ("scale", "zero_point", "m0", "n"):
            if f"{PREFIX}{key}" in properties:
                row[key] = json.loads(properties[f"{PREFIX}{key}"])
        rows.append(row | _operands(node))
    return rows


def _operands(node: ir.Node) -> dict[str, Any]:
    layout = layout_of(node)
    if layout is None:
        return {}
    inputs: list[dict[str, Any]] = []
    for triple in layout.reads:
        value = node.inputs[triple.tensor] if triple.tensor is not None else None
        name = None if value is None else value.name
        inputs.append({"name": name, "scale": _plain(node, triple.scale), "zero_point": _plain(node, triple.zero_point)})
    bias = node.inputs[layout.bias] if layout.bias is not None and layout.bias < len(node.inputs) else None
    return {"inputs": inputs, **({} if bias is None else {"bias": bias.name})}


def _plain(node: ir.Node, index: int) -> Any:
    """A constant as numbers for JSON, a float32 as the shortest decimal that gives it back; one number where all are equal."""
    array = constant(node, index)
    if array is None:
        return None
    numbers = [float(str(x)) if isinstance(x, np.floating) else int(x) for x in np.atleast_1d(array)]
    return numbers[0] if len(set(numbers)) == 1 else numbers


def table_of(model: ir.Model) -> dict[str, Any]:
    """The whole table, with what the model says of its origin; M = m0 * 2^-(31 + n)."""
    properties = model.metadata_props
    return {
        "format": "qconv-table-1",
        "model_sha256": properties.get(f"{PREFIX}model_sha256"),
        "target": properties.get(f"{PREFIX}target"),
        "exact_on": properties.get(f"{PREFIX}exact_on"),
        "calibration": json.loads(properties.get(f"{PREFIX}calibration", "null")),
        "multiplier": "M = m0 * 2^-(31 + n)",
        "nodes": rows_of(model),
    }


def dumps_table(model: ir.Model) -> str:
    """The text of the table: a line per node."""
    data = table_of(model)
    rows = ",\n".join(f"  {json.dumps(row)}" for row in data.pop("nodes"))
    head = json.dumps(data, indent=1)
    return f'{head[:-2]},\n "nodes": [\n{rows}\n ]\n}}\n'
