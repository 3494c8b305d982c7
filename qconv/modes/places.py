"""Which nodes a mode quantizes, and why the others stay in float."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from qconv.errors import UsageError
from qconv.model.graph import const_array, is_float
from qconv.model.traits import Trait, has_trait
from qconv.ops.forms import is_table_lookup
from qconv.plan.eligible import EXCLUDED, touches_float
from qconv.plan.patterns import nodes_of
from qconv.recover.layers import Layer, layer_of

_LEAST_TABLE = 4_096  # elements of a table of embeddings that is worth codes
_WIDTH = 4  # rows of a table are a multiple of it, so that codes fill whole bytes


@dataclass(frozen=True)
class Rewritten:
    """What a mode did: the layers and tables that got codes, node -> why it stays in float, and how many weights were fitted."""

    layers: tuple[str, ...]
    tables: tuple[str, ...]
    float_nodes: Mapping[str, str]
    fitted: int = 0


@dataclass(frozen=True)
class Places:
    """The nodes of a prepared graph: products with constant matrices, look-ups in tables, and why all others stay in float."""

    layers: Mapping[ir.Node, Layer]
    tables: Sequence[ir.Node]
    float_nodes: Mapping[str, str] = field(default_factory=dict)


def places(graph: ir.Graph, exclude: Sequence[str], convolution: str) -> Places:
    """`convolution` is the reason why a convolution stays in float. Raises UsageError where nothing is left to quantize."""
    excluded = {pattern: nodes_of(graph, pattern) for pattern in exclude}
    layers: dict[ir.Node, Layer] = {}
    tables: list[ir.Node] = []
    reasons: dict[str, str] = {}
    for node in graph:
        reason, layer = _excluded(node, excluded), layer_of(node)
        if reason is None and layer is not None and not layer.is_conv and layer.columns and layer.outputs:
            layers[node] = layer
        elif reason is None and _is_table(node):
            tables.append(node)
        elif touches_float(node):
            reasons[str(node.name)] = reason or _reason(node, convolution)
    if not layers and not tables:
        raise UsageError(
            "the model has no MatMul, Gemm or Gather of a constant matrix that is not excluded, so the mode would change "
            "nothing; quantize it without --mode"
        )
    return Places(layers, tables, reasons)


def _excluded(node: ir.Node, excluded: Mapping[str, Collection[ir.Node]]) -> str | None:
    return next((f"{EXCLUDED} by {pattern!r}" for pattern, nodes in excluded.items() if node in nodes), None)


def _reason(node: ir.Node, convolution: str) -> str:
    if has_trait(node, Trait.WEIGHTS):
        if const_array(node.inputs[1]) is None:
            return "both operands are computed, so that there is no weight to keep in codes"
        weight = const_array(node.inputs[1])
        return convolution if weight is not None and weight.ndim > 2 else "its weight serves several layers, or is no matrix"
    return "the mode leaves all that is no product with a weight in float"


def _is_table(node: ir.Node) -> bool:
    """Whether a node looks rows up in a large constant table that nothing else reads."""
    if not is_table_lookup(node):
        return False
    value = node.inputs[0]
    table = const_array(value)
    if value is None or table is None or len(value.uses()) != 1 or value.is_graph_output() or not is_float(value):
        return False
    return table.ndim == 2 and table.size >= _LEAST_TABLE and table.shape[1] % _WIDTH == 0
