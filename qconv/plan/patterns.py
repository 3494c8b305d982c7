"""Patterns that name nodes: globs of names and op types, and `from..to` for all nodes between two tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

import onnx_ir as ir

from qconv.errors import UsageError
from qconv.model.graph import written_as

_BETWEEN = ".."


def fits(name: str, pattern: str) -> bool:
    """Whether a glob matches a name."""
    return fnmatchcase(name, pattern)


def names_of(node: ir.Node) -> tuple[str, ...]:
    """What a person may call a node: its name, its op type, and the one that it was written as."""
    return str(node.name), node.op_type, written_as(node)


def nodes_of(graph: ir.Graph, pattern: str) -> set[ir.Node]:
    """The nodes that a pattern names. Raises UsageError where it names none."""
    found = {node for node in graph if any(fits(name, pattern) for name in names_of(node))}
    if not found and _BETWEEN in pattern:
        found = _between(graph, pattern)
    if not found:
        raise UsageError(
            f"the exclusion {pattern!r} matches no node name and no op type of the model; see `qconv inspect` for the names"
        )
    return found


def _between(graph: ir.Graph, pattern: str) -> set[ir.Node]:
    """The nodes on the ways from one tensor to another."""
    values = {str(v.name): v for v in (*graph.inputs, *(v for node in graph for v in node.outputs))}
    first, _, last = pattern.partition(_BETWEEN)
    for name in (first, last):
        if name not in values:
            raise UsageError(f"the exclusion {pattern!r} names the tensor {name!r}, which the model does not have")
    behind = _reached(values[first].consumers(), lambda node: (user for value in node.outputs for user in value.consumers()))
    makers = (values[last].producer(),)
    before = _reached(makers, lambda node: (value.producer() for value in node.inputs if value is not None))
    found = behind & before
    if not found:
        raise UsageError(f"the exclusion {pattern!r} finds no way from {first} to {last}; give the earlier tensor first")
    return found


def _reached(starts: Iterable[ir.Node | None], following: Callable[[ir.Node], Iterable[ir.Node | None]]) -> set[ir.Node]:
    found: set[ir.Node] = set()
    pending = list(starts)
    while pending:
        node = pending.pop()
        if node is not None and node not in found:
            found.add(node)
            pending.extend(following(node))
    return found
