"""Operators that the standard has from opset 23 on, written with those that it had before.

RMSNormalization(x, g)     x / sqrt(mean x^2 + epsilon) g, along the axes from its own on
Swish(x)                   x sigmoid(alpha x)
TensorScatter(c, u, i)     c with u in the places i, i + 1 ... of one axis, for each sample its own
Attention, RotaryEmbedding in newer_attention.py
"""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx_ir as ir

from .attention_formula import sizes_of
from .formula import Formula, Steps, reduced, rewrite_by
from .graph import attr_float, attr_int, attr_str
from .names import name_everything
from .newer_attention import write_attention, write_rotary


def write_newer_ops(model: ir.Model) -> int:
    """Rewrites every one of the main graph whose shapes allow it, in place; returns their number."""
    name_everything(model)
    return rewrite_by(_FORMULAS, model)


def has_newer_ops(model: ir.Model) -> bool:
    """Whether there is anything to write."""
    return any(node.op_type in _FORMULAS and not node.domain for node in model.graph)


def _root_mean_square(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    rank = len(sizes_of(x))
    axes = list(range(attr_int(node, "axis", -1) % rank, rank))
    squares = steps("Mul", x, x)
    mean = steps("ReduceMean", squares, steps.constant(axes, np.int64), shape=reduced(x.shape, axes), keepdims=1)
    root = steps("Sqrt", steps("Add", mean, steps.constant(attr_float(node, "epsilon", 1e-5))))
    return steps.last("Mul", steps("Div", x, root), node.inputs[1])


def _swish(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    alpha = attr_float(node, "alpha", 1.0)
    inner = x if alpha == 1.0 else steps("Mul", x, steps.constant(alpha))
    return steps.last("Mul", x, steps("Sigmoid", inner))


def _tensor_scatter(node: ir.Node, x: ir.Value, steps: Steps) -> int:
    """The places of one row of updates, spread over all that it holds."""
    updates, starts = [*node.inputs[1:3], None][:2]
    if updates is None or updates.shape is None:
        return 0
    rank, size = len(sizes_of(updates)), updates.shape[(axis := attr_int(node, "axis", -2) % len(sizes_of(updates)))]
    if not isinstance(size, int):
        return 0
    row = [1] * rank
    row[axis] = size
    places = steps.constant(np.arange(size).reshape(row), np.int64)
    if starts is not None:
        others = steps.constant(range(1, rank), np.int64)
        first = steps("Unsqueeze", starts, others, shape=[sizes_of(updates)[0], *[1] * (rank - 1)], dtype=ir.DataType.INT64)
        places = steps("Add", first, places, dtype=ir.DataType.INT64)
    if attr_str(node, "mode", "linear") == "circular":
        count = steps("Shape", x, shape=[1], dtype=ir.DataType.INT64, start=axis, end=axis + 1)
        places = steps("Mod", places, count, dtype=ir.DataType.INT64)
    whole = steps("Shape", updates, shape=[rank], dtype=ir.DataType.INT64)
    spread = steps("Expand", places, whole, shape=updates.shape, dtype=ir.DataType.INT64)
    return steps.last("ScatterElements", x, spread, updates, axis=axis)


_FORMULAS: Final[dict[str, Formula]] = {
    "Attention": write_attention,
    "RMSNormalization": _root_mean_square,
    "RotaryEmbedding": write_rotary,
    "Swish": _swish,
    "TensorScatter": _tensor_scatter,
}
