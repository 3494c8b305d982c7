"""Collision-free names for new values and nodes."""

from __future__ import annotations

import onnx_ir as ir


class Names:
    """The names in use in a graph and its subgraphs; every name handed out is taken from then on."""

    def __init__(self, graph: ir.Graph) -> None:
        self._values: set[str] = set(graph.initializers) | {str(v.name) for v in graph.inputs}
        self._nodes: set[str] = set()
        for node in graph.all_nodes():
            self._nodes.add(str(node.name))
            self._values |= {str(v.name) for v in node.outputs}

    def fresh(self, wish: str) -> str:
        """`wish`, or `wish` with the first number that makes it new, for a value."""
        return _fresh(wish, self._values)

    def fresh_node(self, wish: str) -> str:
        """The same for a node."""
        return _fresh(wish, self._nodes)


def _fresh(wish: str, taken: set[str]) -> str:
    name, number = wish, 1
    while name in taken:
        number += 1
        name = f"{wish}_{number}"
    taken.add(name)
    return name
