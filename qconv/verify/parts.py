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
    found = {str(value.name): _parts(value.producer()) for value in graph.outputs}
    return {name: parts for name, parts in found.items() if len(parts) > 1}


def _parts(node: ir.Node | None) -> tuple[Part, ...]:
    if node is None or node.op_type != "Concat":
        return ()
    axis, start, parts = attr_int(node, "axis", 0), 0, []
    for value in node.inputs:
        size = value.shape[axis] if value is not None and value.shape is not None else None
        if value is None or not isinstance(size, int) or value.const_value is not None:
            return ()
        parts.append(Part(str(value.name), axis, start, start + size))
        start += size
    return tuple(parts)
