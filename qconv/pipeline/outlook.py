"""What would become of a float model, before anything is calibrated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from qconv.pipeline.prepared import load_prepared
from qconv.plan.eligible import float_nodes
from qconv.plan.shared_scales import integer_nodes
from qconv.plan.subgraphs import untouched_subgraphs


@dataclass(frozen=True)
class Outlook:
    """The borders of a model and its ops, most frequent first; what of it becomes integer, and node -> why it stays in float.

    Preparation joins and removes nodes, so that `integer` counts other nodes than `ops`. `quantized` tells that another tool
    has quantized the model.
    """

    inputs: tuple[ir.Value, ...]
    outputs: tuple[ir.Value, ...]
    ops: Mapping[str, int]
    quantized: bool
    integer: int
    in_float: Mapping[str, str]
    warnings: tuple[str, ...]


def outlook(model: str | Path) -> Outlook:
    """What becomes of a model with the default settings. Raises ModelError where it cannot be read."""
    prepared = load_prepared(model)
    given, graph = prepared.original.graph, prepared.ir.graph
    ops = Counter(node.op_type for node in given)
    reasons = float_nodes(graph)
    count = sum(1 for _ in integer_nodes(graph, reasons))
    inputs = tuple(value for value in given.inputs if value.name not in given.initializers)
    quantized, warnings = prepared.imported is not None, tuple(untouched_subgraphs(graph))
    return Outlook(inputs, tuple(given.outputs), dict(ops.most_common()), quantized, count, reasons, warnings)
