"""Reverse differentiation of a network as one more network: from coefficients at some tensors to the gradient at an input.

For a loss L of tensors t_1 .. t_n that are functions of the input x, with dL/dt_i = seed_i given,

    dL/dv = seed_v + sum over the nodes that read v of  J_node^T dL/d(their output)

is built node by node, last to first, from operators that onnxruntime has; the rules are in the other files of this folder. A node
on the way that has no rule is refused: the gradient of the paths around it alone would be wrong.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir
from onnx_ir.tape import Tape

from qconv.autodiff.layer_rules import WEIGHTS
from qconv.autodiff.movement_rules import PLACES
from qconv.autodiff.pointwise_rules import POINTWISE
from qconv.errors import ModelError
from qconv.model.graph import const_array, is_float
from qconv.model.traits import Trait, has_trait, key_of

RULES = {**WEIGHTS, **POINTWISE, **PLACES}


def append_gradient(graph: ir.Graph, seeds: Mapping[ir.Value, ir.Value], source: ir.Value, tape: Tape) -> ir.Value | None:
    """dL/d`source`, recorded on `tape`; None where nothing arrives. `seeds` maps tensors of `graph` to dL/d(tensor).

    Raises ModelError for a node that has no rule, or whose form has none.
    """
    moving = _depends_on(graph, source)
    arrived: dict[ir.Value, list[ir.Value]] = {value: [seed] for value, seed in seeds.items()}
    for node in reversed(list(graph)):
        gradient = _total(tape, arrived.get(node.outputs[0], [])) if node.outputs else None
        wanted = [index for index, value in enumerate(node.inputs) if value in moving and value is not None and is_float(value)]
        if gradient is None or not wanted:
            continue
        domain, op = key_of(node)
        rule = None if domain else RULES.get(op)
        parts = {} if rule is None else dict(rule(tape, node, gradient, wanted))
        if not parts.keys() >= set(wanted):
            raise ModelError(f"node {node.name} ({op}) has no gradient here")
        for index in wanted:
            value = node.inputs[index]
            assert value is not None
            arrived.setdefault(value, []).append(parts[index])
    return _total(tape, arrived.get(source, []))


def _total(tape: Tape, parts: list[ir.Value]) -> ir.Value | None:
    return None if not parts else parts[0] if len(parts) == 1 else tape.op("Sum", parts)


def _depends_on(graph: ir.Graph, source: ir.Value) -> set[ir.Value | None]:
    """The float tensors that change with `source`."""
    moving: set[ir.Value | None] = {source}
    for node in graph:
        if not has_trait(node, Trait.MEASURES) and any(value in moving for value in node.inputs if const_array(value) is None):
            moving.update(node.outputs)
    return moving - {None}
