"""The (S, Z, M0, n) table of an integer graph, read from the metadata of its nodes."""

from __future__ import annotations

import json
from typing import Any

import onnx_ir as ir

PREFIX = "qconv."


def rows_of(model: ir.Model) -> list[dict[str, Any]]:
    """A row per quantized node, in graph order: node, op, source, tensor, scale, zero_point and, where it rescales, m0 and n."""
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
        rows.append(row)
    return rows


def table_of(model: ir.Model) -> dict[str, Any]:
    """The whole table, with what the model says of its origin; M = m0 * 2^-(31 + n)."""
    properties = model.metadata_props
    return {
        "format": "qconv-table-1",
        "model_sha256": properties.get(f"{PREFIX}model_sha256"),
        "calibration": json.loads(properties.get(f"{PREFIX}calibration", "null")),
        "multiplier": "M = m0 * 2^-(31 + n)",
        "nodes": rows_of(model),
    }
