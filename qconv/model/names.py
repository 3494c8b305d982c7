"""Collision-free names for values and nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx_ir as ir


class Names:
    """The names in use in a graph and its subgraphs; every name handed out is taken from then on."""

    def __init__(self, graph: ir.Graph) -> None:
        self._values = {value.name for part in _graphs(graph) for value in _values(part) if value.name}
        self._nodes = {node.name for node in graph.all_nodes() if node.name}

    def fresh(self, wish: str) -> str:
        """`wish`, or `wish` with the first number that makes it new, for a value."""
        return _fresh(wish, self._values)

    def fresh_node(self, wish: str) -> str:
        """A name for a node that no other node has."""
        return _fresh(wish, self._nodes)

    def has_node(self, name: str) -> bool:
        """Whether a node has this name."""
        return name in self._nodes

    def release_node(self, name: str) -> None:
        """Gives the name of a node that will go back, for the node that takes its place."""
        self._nodes.discard(name)


def name_everything(model: ir.Model) -> None:
    """Give names to nodes without one (that of their first output), and new names to what bears the name of another.

    The first of several keeps the name, outer graphs before inner ones. Left-out optional outputs stay nameless.
    """
    _name_values(model)
    names = Names(model.graph)
    seen: set[str] = set()
    for node in model.graph.all_nodes():
        if not node.name:
            node.name = names.fresh_node(next((str(value.name) for value in node.outputs if value.name), node.op_type))
        elif node.name in seen:
            node.name = names.fresh_node(node.name)
        seen.add(node.name)


def node_names(model: ir.Model) -> dict[str, str]:
    """Names of values -> names of the nodes that make them."""
    return {value.name: node.name for node in model.graph.all_nodes() if node.name for value in node.outputs if value.name}


def give_back_names(model: ir.Model, before: Mapping[str, str]) -> None:
    """Where a node was replaced by another that makes the same value, the new node gets the old name."""
    lost = set(before.values()) - {node.name for node in model.graph.all_nodes()}
    for node in model.graph.all_nodes():
        for value in node.outputs:
            name = before.get(value.name or "")
            if name in lost:
                node.name = name
                lost.remove(name)


def _name_values(model: ir.Model) -> None:
    names = Names(model.graph)
    seen: dict[str, ir.Value] = {}
    for graph in _graphs(model.graph):
        for value in _values(graph):
            if not value.name:
                continue
            if seen.setdefault(value.name, value) is not value:
                value.name = names.fresh(value.name)
                seen[value.name] = value


def _graphs(graph: ir.Graph) -> Iterator[ir.Graph]:
    yield graph
    yield from graph.subgraphs()


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from tuple(graph.inputs)
    yield from tuple(graph.initializers.values())
    for node in graph:
        yield from node.outputs


def _fresh(wish: str, taken: set[str]) -> str:
    name, number = wish, 1
    while name in taken:
        number += 1
        name = f"{wish}_{number}"
    taken.add(name)
    return name
