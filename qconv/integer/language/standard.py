"""Which nodes of an integer graph only onnxruntime computes as it is meant."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from qconv.integer.language.multipliers import constant
from qconv.integer.language.operands import layout_of


def foreign_to_others(graph: ir.Graph) -> Iterator[ir.Node]:
    """Nodes of other domains than ai.onnx, and quantized operators that have several scales for one tensor."""
    return (node for node in graph.all_nodes() if node.domain not in ("", "ai.onnx") or _has_many_scales(node))


def _has_many_scales(node: ir.Node) -> bool:
    layout = layout_of(node)
    scales = () if layout is None else (constant(node, index) for index in layout.scales)
    return any(scale is not None and scale.size > 1 for scale in scales)
