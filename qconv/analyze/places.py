"""The places of a network where something is rounded: a node with its weight, and the tensor of codes that it makes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import onnx_ir as ir

from qconv.model.graph import const_array
from qconv.ops.op_table import has_weight, rule_of, spec_of
from qconv.plan.activations import ActivationPlan

INPUT = "input"  # the op type of a place that is an input of the graph


@dataclass(frozen=True)
class Place:
    """A node that computes, with what is rounded because of it; or an input of the graph, under its own name.

    `tensors` are the activations that come from it, through nodes that only select or move, `readers` the nodes that compute
    with them. `weight` is None where there is none.
    """

    node: str
    op_type: str
    tensors: tuple[str, ...]
    weight: str | None
    readers: tuple[str, ...]


def places(graph: ir.Graph, plan: ActivationPlan) -> list[Place]:
    """All places, in graph order; inputs of the graph first."""
    values = {str(value.name): value for value in (*graph.inputs, *(value for node in graph for value in node.outputs))}
    by_maker: dict[ir.Node | ir.Value, list[ir.Value]] = {}
    for name in plan.rounded:
        value = values[name]
        by_maker.setdefault(_maker(value), []).append(value)
    found = [
        Place(str(made[0].name), INPUT, tuple(str(v.name) for v in made), None, _readers(made))
        for maker, made in by_maker.items()
        if isinstance(maker, ir.Value)
    ]
    for node in graph:
        made, weight = by_maker.get(node, []), _weight(node) if node.name in plan.integer else None
        if made or weight is not None:
            found.append(Place(str(node.name), node.op_type, tuple(str(v.name) for v in made), weight, _readers(made)))
    return found


def _weight(node: ir.Node) -> str | None:
    value = node.inputs[1] if has_weight(node) else None
    return None if value is None or const_array(value) is None else str(value.name)


def _maker(value: ir.Value) -> ir.Node | ir.Value:
    """The node that computes what a tensor holds, or the input of the graph that it comes from."""
    node = value.producer()
    while node is not None and spec_of(node) is not None and not rule_of(node).computes and node.inputs[0] is not None:
        value = node.inputs[0]
        node = value.producer()
    return value if node is None else node


def _readers(values: Iterable[ir.Value]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    pending, seen = list(values), set(values)
    while pending:
        for node in pending.pop().consumers():
            if spec_of(node) is None or rule_of(node).computes:
                found[str(node.name)] = None
                continue
            new = [value for value in node.outputs if value not in seen]
            seen.update(new)
            pending += new
    return tuple(found)
