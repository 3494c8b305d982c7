"""Work inside If, Loop and Scan, which planning does not enter."""

from __future__ import annotations

import math
from collections.abc import Iterator

import onnx_ir as ir

from qconv.model.graph import const_array
from qconv.model.traits import Trait, has_trait
from qconv.sentences import counted


def untouched_subgraphs(graph: ir.Graph) -> list[str]:
    """A sentence for each node whose subgraphs hold layers with weights, and what decides about it."""
    inputs = {value for value in graph.inputs if const_array(value) is None and _is_one_number(value)}
    found = []
    for node in graph:
        layers = sum(has_trait(part, Trait.WEIGHTS) for inside in _subgraphs(node) for part in inside.all_nodes())
        if layers:
            count = 1 if has_trait(node, Trait.BRANCHES) else 2 if has_trait(node, Trait.REPEATS) else 0
            conditions = [value for value in node.inputs[:count] if value is not None]
            deciding = [str(source.name) for value in conditions for source in _sources(value) if source in inputs]
            remedy = f"--pin {deciding[0]}=VALUE makes one of them the network" if deciding else "export what is inside by itself"
            what = f"{counted(layers, 'layer')} with weights in float, inside its subgraphs"
            found.append(f"node {node.name} ({node.op_type}) keeps {what}; {remedy}")
    return found


def _is_one_number(value: ir.Value) -> bool:
    """Whether --pin can make an input a constant that says something."""
    return value.shape is not None and value.shape.is_static() and math.prod(value.shape.numpy()) == 1


def _subgraphs(node: ir.Node) -> Iterator[ir.Graph]:
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.as_graph()
        elif attribute.type == ir.AttributeType.GRAPHS:
            yield from attribute.as_graphs()


def _sources(value: ir.Value) -> Iterator[ir.Value]:
    """A value, and all that it is computed from."""
    pending, seen = [value], {value}
    while pending:
        current = pending.pop()
        yield current
        maker = current.producer()
        new = [source for source in maker.inputs if source is not None and source not in seen] if maker is not None else []
        seen.update(new)
        pending += new
