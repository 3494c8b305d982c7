"""Where the values of a tensor end that its readers only select, move, join or clamp, and what they leave of it.

Codes of such a tensor may saturate at what comes out in the end (behind a MaxPool and a Relu, or as the maxima of a ReduceMax):
values beyond are never used, and no error of the layer that makes them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from qconv.model.graph import is_float
from qconv.ops.flat_ends import useful_range
from qconv.ops.op_table import Role, role_of, rule_of, spec_of
from qconv.ops.scale_rules import Same, Shared
from qconv.verify.measure.metrics import Array

Extremes = tuple[float, float]


def endings(graph: ir.Graph) -> dict[str, tuple[str, ...]]:
    """Float tensor -> the tensors that its values come to, for those that are merely selected from and no output of the graph."""
    found: dict[ir.Value, tuple[ir.Value, ...]] = {}
    for value in reversed([*graph.inputs, *(value for node in graph for value in node.outputs)]):
        reached = _reached(value, graph)
        if reached:
            found[value] = tuple(dict.fromkeys(end for output in reached for end in found.get(output, (output,))))
    return {str(value.name): tuple(str(end.name) for end in ends) for value, ends in found.items()}


def _reached(value: ir.Value, graph: ir.Graph) -> list[ir.Value]:
    """The outputs of the readers of a value; none where one of them computes with it."""
    uses = value.uses()
    if value.is_graph_output() or not all(_selects(use.node, use.idx, graph) for use in uses):
        return []
    return [output for use in uses for output in use.node.outputs if is_float(output)]


def _selects(node: ir.Node, index: int, graph: ir.Graph) -> bool:
    if node.graph is not graph or spec_of(node) is None or role_of(node, index) is not Role.DATA:
        return False
    return isinstance(rule_of(node), Same | Shared)


def extremes(array: Array) -> Extremes | None:
    """The least and the greatest element; None where there is none."""
    return (float(array.min()), float(array.max())) if array.size else None


def told_apart(value: ir.Value, whole: Extremes | None) -> Extremes | None:
    """What readers of a tensor tell apart between its extremes (ops/flat_ends.py); None where that is all of it."""
    found = whole if whole is None else useful_range(value, whole)
    return None if found == whole else found


def used(real: Array, span: Extremes, ends: Sequence[Extremes]) -> Array:
    """The float values of a tensor, less what its codes cannot hold and none of its endings does: that is cut, as codes are.

    `span` is the least and the greatest real that the codes hold, `ends` are those of the endings. A value beyond it that
    comes out in the end stays, but for -inf, a mask, which the lowest code is there for. Each element is treated by itself.
    """
    real = np.where(np.isneginf(real), np.asarray(span[0], real.dtype), real) if np.isneginf(real).any() else real
    if not ends:
        return real
    low = min(span[0], *(least for least, _ in ends))
    high = max(span[1], *(greatest for _, greatest in ends))
    return real if math.isnan(low + high) else np.clip(real, low, high).astype(real.dtype, copy=False)
