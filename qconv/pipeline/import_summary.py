"""What became of the parameters that a quantized model brought along, in sentences."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
import onnx_ir as ir

from qconv.model.graph import const_array
from qconv.ops.forms import bias_of, channel_axis
from qconv.ops.op_table import has_weight
from qconv.plan.quant_plan import QuantPlan
from qconv.quant.finer import MATTERS, bias_moves
from qconv.quant.pins import Pins, with_sign
from qconv.quant.types import QuantParams
from qconv.sentences import some_of

_FLOAT32 = 1e-6  # a quotient of two scales that were rounded to float32


def import_summary(
    pins: Pins, notes: Sequence[str], graph: ir.Graph, plan: QuantPlan, calibrated: Collection[str]
) -> tuple[str, ...]:
    """How many scales are used, what had none, and what is not used; how far biases moved.

    `notes` are what importing said, `graph` is the prepared graph that is about to be lowered, `calibrated` are the tensors whose
    ranges data gave.
    """
    used = [name for name, params in pins.activations.items() if _same(plan.tensors.get(name), params)]
    unused = [name for name in pins.activations if name not in used]
    weights = set(_used_weights(pins, graph, plan))
    lost = [pinned.name for pinned in pins.weights if pinned.name not in weights]
    total = len(pins.activations) + len(pins.weights)
    line = f"used {total - len(unused) - len(lost)} of {total} scales that were given"
    missing = [name for name in calibrated if name in plan.tensors]
    if missing:
        line += f"; missing: {some_of(missing)} (calibrated)"
    if unused or lost:
        line += (
            f"; unused: {some_of([*unused, *lost])}, which another op took in, or which no kernel of the target takes as they are"
        )
    return (line, *_largest_move(graph, plan), *notes)


def _used_weights(pins: Pins, graph: ir.Graph, plan: QuantPlan) -> Iterator[str]:
    """The names of the weights whose codes are kept; those of a layer that a batch norm was folded into too."""
    for node in _layers(graph, plan):
        value, array = node.inputs[1], const_array(node.inputs[1])
        if value is None or array is None:
            continue
        for pinned, params in pins.matches(array, channel_axis(node)):
            if _keeps_reals(plan.tensors[str(value.name)], params):
                yield pinned.name


def _largest_move(graph: ir.Graph, plan: QuantPlan) -> Iterator[str]:
    """The largest change of a bias by its rounding to S_x S_w, in codes of the output; a line where it matters."""
    moves = [(_move(node, plan), str(node.name)) for node in _layers(graph, plan)]
    largest, name = max(moves, default=(0.0, ""))
    if largest > MATTERS:
        yield f"biases are rounded to S_x S_w, which moves that of {name} most, by {largest:.2f} codes of its output"


def _move(node: ir.Node, plan: QuantPlan) -> float:
    bias, (x, w, y) = bias_of(node), (plan.tensors.get(str(value.name)) for value in (*node.inputs[:2], node.outputs[0]) if value)
    if bias is None or x is None or w is None or y is None:
        return 0.0
    return float(bias_moves(bias, x, w.scale, y).max(initial=0.0))


def _layers(graph: ir.Graph, plan: QuantPlan) -> Iterator[ir.Node]:
    return (
        node for node in graph if has_weight(node) and node.inputs[1] is not None and str(node.inputs[1].name) in plan.tensors
    )


def _keeps_reals(found: QuantParams, given: QuantParams) -> bool:
    """Whether codes under `given` are whole multiples under `found`."""
    if found.axis not in (None, given.axis) or (given.axis is not None and found.axis is None):
        return False
    factor = given.scale.astype(np.float64) / found.scale
    return bool((np.abs(factor - np.rint(factor)) <= _FLOAT32 * factor).all() and (factor > 0.5).all())


def _same(found: QuantParams | None, given: QuantParams) -> bool:
    return found is not None and found == with_sign(given, found.int_type.signed)
