"""What weights a model of these modes holds, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import onnx_ir as ir

from qconv.model.graph import attr_int, const_array
from qconv.model.traits import Trait, has_trait


def weights_in_codes(graph: ir.Graph) -> Iterator[str]:
    """A line for each kind of node that reads weights in codes: how many, of how many bits, and how many share a scale."""
    kinds = Counter(kind for node in graph if (kind := _kind(node)) is not None)
    yield from (f"{count} {kind}" for kind, count in kinds.items())


def _kind(node: ir.Node) -> str | None:
    if "block_size" in node.attributes:
        bits, block = (attr_int(node, name, 0) for name in ("bits", "block_size"))
        return f"{node.op_type} with weights of {bits} bits, a scale for each {block}"
    weight = const_array(node.inputs[1]) if has_trait(node, Trait.ON_CODES) else None
    if weight is None or weight.dtype.kind not in "iu":
        return None
    return f"{node.op_type} with weights in {weight.dtype.name}, a scale for each output"
