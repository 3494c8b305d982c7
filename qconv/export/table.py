"""The complete table: a network as JSON and one file of bytes, for readers that have nothing else (docs/table.md)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from qconv.export.network import Network, Node, Repeated, Rescale, Row, Tensor
from qconv.integer.metadata import shortest

FORMAT = "qconv-network-1"
_ALIGNED = 16  # bytes


def table_of(network: Network, digest: str, blob: str) -> tuple[dict[str, Any], bytes]:
    """The JSON data and the bytes of all constants; `digest` is that of the model file, `blob` the name of the file of bytes."""
    places: dict[str, int] = {}
    data = bytearray()
    for tensor in network.constants:
        assert tensor.data is not None
        data += bytes(-len(data) % _ALIGNED)
        places[tensor.name] = len(data)
        data += tensor.data.astype(tensor.dtype.newbyteorder("<")).tobytes()
    tensors = {name: _tensor(tensor, places.get(name)) for name, tensor in network.tensors.items()}
    return {
        "format": FORMAT,
        "integer_model_sha256": digest,
        "data": blob,
        "byte_order": "little",
        "rounding": "halves to even",
        "inputs": [{"tensor": name, "of": network.reals.get(name)} for name in network.inputs],
        "outputs": [{"tensor": name, "of": network.reals.get(name)} for name in network.outputs],
        "tensors": tensors,
        "nodes": [_node(node) for node in network.nodes],
    }, bytes(data)


def _tensor(tensor: Tensor, place: int | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"dtype": str(tensor.dtype), "shape": list(tensor.shape)}
    if tensor.params is not None:
        low, high = tensor.params.int_type.qmin, tensor.params.int_type.qmax
        zero_points = np.unique(tensor.params.zero_point)
        entry |= {"bits": tensor.params.int_type.bits, "limits": [low, high]}
        entry |= {"scale": shortest(_plain(tensor.params.scale)), "zero_point": int(zero_points[0])}
        if tensor.params.axis is not None:
            entry["axis"] = tensor.params.axis
    if place is not None:
        entry |= {"offset": place, "bytes": tensor.bytes}
    return entry


def _plain(array: np.ndarray[Any, Any]) -> Any:
    return array.tolist()


def _node(node: Node) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": node.name, "op": node.op, "inputs": list(node.inputs), "output": node.output}
    entry["attributes"] = dict(node.attributes)
    if node.rescales:
        entry["rescales"] = [_rescale(rescale) for rescale in node.rescales]
    if node.certificate is not None:
        c = node.certificate
        entry["accumulator"] = {"low": c.low, "high": c.high, "proved": c.proved == c.scales, "why": c.why}
    if node.body is not None:
        entry["body"] = _body(node.body)
    return entry


def _body(body: Repeated) -> dict[str, Any]:
    return {
        "count": body.count,
        "states": [{"initial": s.initial, "before": s.before, "after": s.after, "final": s.final} for s in body.states],
        "slices": [_row(row) for row in body.slices],
        "nodes": [_node(node) for node in body.nodes],
        "stacks": [_row(row) for row in body.stacks],
    }


def _row(row: Row) -> dict[str, Any]:
    return {"whole": row.whole, "row": row.row, "backwards": row.backwards}


def _rescale(rescale: Rescale) -> dict[str, Any]:
    if rescale.axis is None:
        return {"kind": "per tensor", "m0": rescale.m0[0], "shift": rescale.shift[0]}
    return {"kind": "per channel", "axis": rescale.axis, "m0": list(rescale.m0), "shift": list(rescale.shift)}


def dumps(data: dict[str, Any]) -> str:
    """The text of the table, one line for each tensor and node."""
    rows = {key: data[key] for key in ("tensors", "nodes")}
    head = json.dumps({key: entry for key, entry in data.items() if key not in rows}, indent=1)
    tensors = ",\n".join(f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in rows["tensors"].items())
    nodes = ",\n".join(f"  {json.dumps(entry)}" for entry in rows["nodes"])
    return f'{head[:-2]},\n "tensors": {{\n{tensors}\n }},\n "nodes": [\n{nodes}\n ]\n}}\n'
