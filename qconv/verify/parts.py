"""The parts of outputs that a Concat joins: what must be looked at one by one, as the largest hides the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir

from qconv.model.graph import attr_int
from qconv.verify.metrics import Array


@dataclass(frozen=True)
class Part:
    """The elements `start` to `stop` along `axis` of an output, which are the float tensor `tensor`."""

    tensor: str
    axis: int
    start: int
    stop: int

    def of(self, output: Array) -> Array:
        """The view of an output that is this part."""
        index = [slice(None)] * output.ndim
        index[self.axis] = slice(self.start, self.stop)
        return output[tuple(index)]


def output_parts(graph: ir.Graph) -> Mapping[str, tuple[Part, ...]]:
    """Output -> its parts, for outputs that a Concat of tensors of known sizes makes."""
    found = {str(value.name): _parts(_before_reshape(value).producer()) for value in graph.outputs}
    return {name: parts for name, parts in found.items() if len(parts) > 1}


def _before_reshape(value: ir.Value) -> ir.Value:
    """What a Reshape that keeps the last axis of a Concat along it takes; any other value as it is."""
    node = value.producer()
    joined = node.inputs[0] if node is not None and node.op_type == "Reshape" else None
    source = joined.producer() if joined is not None else None
    if joined is None or source is None or source.op_type != "Concat" or joined.shape is None or value.shape is None:
        return value
    last = attr_int(source, "axis", 0) in (-1, len(joined.shape) - 1)
    kept = len(value.shape) > 0 and isinstance(value.shape[-1], int) and value.shape[-1] == joined.shape[-1]
    return joined if last and kept else value


def _parts(node: ir.Node | None) -> tuple[Part, ...]:
    if node is None or node.op_type != "Concat":
        return ()
    axis, start, parts = attr_int(node, "axis", 0), 0, []
    rank = next((len(value.shape) for value in node.inputs if value is not None and value.shape is not None), 0)
    axis = -1 if axis == rank - 1 else axis  # which a Reshape keeps
    for value in node.inputs:
        size = value.shape[axis] if value is not None and value.shape is not None else None
        if value is None or not isinstance(size, int) or value.const_value is not None:
            return ()
        parts.append(Part(str(value.name), axis, start, start + size))
        start += size
    return tuple(parts)
