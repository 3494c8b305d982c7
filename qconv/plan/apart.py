"""Parts of an input or output that differ in range: they enter and leave the integer graph apart, each with its own scale.

A Concat of boxes and scores has one scale, in which the scores vanish. Behind it only elements are moved until the output, so
the DequantizeLinear of the output may as well stand before the Concat: no float arithmetic is added by that. An input
that is taken apart, as the state of a recurrent network, is quantized behind the Slices for the same reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import onnx_ir as ir

from qconv.model.graph import const_array, is_float
from qconv.model.traits import Trait, has_trait

_FEW_CODES = 16.0  # a part whose range is this many times smaller than that of the whole keeps 256 / 16 codes


def moving_ends(graph: ir.Graph, float_nodes: Mapping[str, str]) -> list[ir.Node]:
    """The nodes behind which elements are only moved and joined until they are outputs, in graph order."""
    found: set[ir.Node] = set()
    for node in reversed(graph):
        if str(node.name) in float_nodes or not has_trait(node, Trait.MOVES | Trait.JOINS):
            continue
        outputs = [value for value in node.outputs if is_float(value)]
        if outputs and all(value.is_graph_output() or value.uses() for value in outputs):
            users = [user for value in outputs for user in value.consumers() if not has_trait(user, Trait.MEASURES)]
            if all(user in found for user in users):
                found.add(node)
    return [node for node in graph if node in found]


def moving_starts(graph: ir.Graph, float_nodes: Mapping[str, str]) -> dict[ir.Node, ir.Value]:
    """The nodes that only move elements of a graph input, in graph order, each with that input."""
    found: dict[ir.Node, ir.Value] = {}
    for node in graph:
        value = node.inputs[0] if str(node.name) not in float_nodes and has_trait(node, Trait.MOVES) else None
        maker = None if value is None else value.producer()
        if value is None or not is_float(value):
            continue
        if value.is_graph_input() and const_array(value) is None:
            found[node] = value
        elif maker is not None and maker in found:
            found[node] = found[maker]
    return found


def parts_to_observe(graph: ir.Graph, float_nodes: Mapping[str, str]) -> set[ir.Value]:
    """What the Concats at the ends of a graph join, and what is taken from its inputs: ranges decide whether they stay apart."""
    joined = {value for node in moving_ends(graph, float_nodes) if has_trait(node, Trait.JOINS) for value in parts(node)}
    return joined | {value for values in _taken(moving_starts(graph, float_nodes)).values() for value in values}


def _taken(starts: Mapping[ir.Node, ir.Value]) -> dict[ir.Value, list[ir.Value]]:
    """Graph input -> its parts, for those of which several are taken."""
    found: dict[ir.Value, list[ir.Value]] = {}
    for node, source in starts.items():
        if has_trait(node, Trait.TAKES):
            found.setdefault(source, []).extend(node.outputs)
    return {source: values for source, values in found.items() if len(values) > 1}


def entering_apart(graph: ir.Graph, float_nodes: Mapping[str, str], span: Callable[[ir.Value], float | None]) -> dict[str, str]:
    """Node -> why it moves reals instead of codes: what takes an input apart into unlike parts. `span` as below."""
    starts = moving_starts(graph, float_nodes)
    found: dict[str, str] = {}
    for source, values in _taken(starts).items():
        times = _unlike(values, span)
        if times is not None:
            reason = f"the parts of {source.name} differ {times:.0f} times in range and enter apart, with scales of their own"
            makers = {maker for value in values if (maker := value.producer()) is not None}
            found |= {str(node.name): reason for node in _leading_to(makers, starts)}
    return found


def _leading_to(makers: set[ir.Node], starts: Mapping[ir.Node, ir.Value]) -> list[ir.Node]:
    """Those of the nodes `starts` that make what `makers` read, and these."""
    wanted = set(makers)
    for node in reversed(list(starts)):
        if any(user in wanted for value in node.outputs for user in value.consumers()):
            wanted.add(node)
    return [node for node in starts if node in wanted]


def _unlike(values: Iterable[ir.Value], span: Callable[[ir.Value], float | None]) -> float | None:
    """How many times the ranges of parts differ, where that leaves the narrowest few codes."""
    spans = [width for value in values if (width := span(value)) is not None and width > 0]
    return max(spans) / min(spans) if spans and min(spans) * _FEW_CODES < max(spans) else None


def leaving_apart(graph: ir.Graph, float_nodes: Mapping[str, str], span: Callable[[ir.Value], float | None]) -> dict[str, str]:
    """Node -> why it moves reals instead of codes: the Concats of unlike parts, and what moves their output.

    `span` is the width of a tensor's range, None where it is not known.
    """
    found: dict[str, str] = {}
    for node in moving_ends(graph, float_nodes):
        behind = any(
            value is not None and (maker := value.producer()) is not None and str(maker.name) in found for value in node.inputs
        )
        if behind:
            found[str(node.name)] = "it moves what was joined as reals"
        elif has_trait(node, Trait.JOINS):
            times = _unlike(parts(node), span)
            if times is not None:
                found[str(node.name)] = f"its parts differ {times:.0f} times in range and leave apart, with scales of their own"
    return found


def parts(node: ir.Node) -> list[ir.Value]:
    """What a Concat joins besides constants."""
    return [value for value in node.inputs if value is not None and is_float(value) and const_array(value) is None]
