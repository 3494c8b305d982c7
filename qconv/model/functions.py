"""How many nodes the functions of a model expand to, counted before anything is expanded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import onnx

from qconv.errors import ModelError

MOST_NODES = 1_000_000  # of a graph with its functions written out; networks in use have some ten thousand
_Key = tuple[str, str, str]
_Functions = Mapping[_Key, onnx.FunctionProto]


def check_functions(proto: onnx.ModelProto) -> None:
    """Raises ModelError where a function calls itself, or where functions that call each other double a graph too often."""
    functions = {(f.domain, f.name, getattr(f, "overload", "")): f for f in proto.functions}
    counts: dict[_Key, int] = {}
    for key in functions:
        _count(key, functions, counts)
    total = sum(counts.get(_key(node), 1) for node in nodes_within(proto.graph.node))
    if total > MOST_NODES:
        raise ModelError(
            f"the functions of the model expand to {total:,} nodes, and {MOST_NODES:,} are the most that is taken: "
            "export the model without functions"
        )


def nodes_within(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """The nodes and those in their subgraphs."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in [attribute.g, *attribute.graphs] if attribute.HasField("g") else attribute.graphs:
                yield from nodes_within(graph.node)


def _count(root: _Key, functions: _Functions, counts: dict[_Key, int]) -> None:
    """Adds the number of nodes of a function and of all that it calls; the stack is a list, as calls may be nested deeply."""
    open_, pending = set[_Key](), [root]
    while pending:
        key = pending[-1]
        called = {_key(node) for node in nodes_within(functions[key].node)} & functions.keys()
        missing = [other for other in called if other not in counts]
        if (key in open_ and missing) or key in called:
            raise ModelError(f"the function {key[1]} of the model calls itself: export the model without functions")
        if key in counts or not missing:
            counts.setdefault(key, sum(counts.get(_key(node), 1) for node in nodes_within(functions[key].node)))
            pending.pop()
            continue
        open_.add(key)
        pending += missing


def _key(node: onnx.NodeProto) -> _Key:
    return node.domain, node.op_type, getattr(node, "overload", "")
