"""Convolutions of signals in front of norms, in wide integers.

The samples of a signal follow each other closely, and a convolution takes their differences: noise of 8 bits, which is nothing
beside the signal, hides them. A norm then makes all of it as loud as the rest. So such a convolution reads its input in 16 bits,
and the norm its sums (lower/planes.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import onnx_ir as ir

from qconv.model.traits import Trait, has_trait
from qconv.ops.forms import is_convolution
from qconv.ops.wide_forms import has_wide_form
from qconv.plan.steep import Steep
from qconv.plan.wide import is_norm

_RANK_OF_SIGNAL = 3  # samples, channels, time
_MOVES = Trait.RESHAPES | Trait.PERMUTES


def signal_layers(nodes: Collection[ir.Node]) -> Steep:
    """The convolutions of inputs of the graph whose outputs only norms read, and what moves elements before and behind them."""
    found = Steep()
    for node in nodes:
        weight = node.inputs[1] if is_convolution(node) else None
        if weight is None or weight.shape is None or len(weight.shape) != _RANK_OF_SIGNAL or not has_wide_form(node):
            continue
        before, behind = list(_moves_before(node, nodes)), _moves_behind(node, nodes)
        source = (before[-1] if before else node).inputs[0]
        if behind is None or source is None or not source.is_graph_input():
            continue
        taken = (*before, node, *behind)
        wide = (source, *(n.outputs[0] for n in taken))
        found = found.joined(Steep(frozenset(str(n.name) for n in taken), frozenset(str(v.name) for v in wide)))
    return found


def _moves_before(node: ir.Node, nodes: Collection[ir.Node]) -> Iterator[ir.Node]:
    maker = node.inputs[0].producer() if node.inputs[0] is not None else None
    if maker is not None and maker in nodes and has_trait(maker, _MOVES):
        yield maker
        yield from _moves_before(maker, nodes)


def _moves_behind(node: ir.Node, nodes: Collection[ir.Node]) -> list[ir.Node] | None:
    """The moves that lead to norms; None where anything else reads the output of a node."""
    output, found = node.outputs[0], list[ir.Node]()
    if output.is_graph_output() or not output.uses():
        return None
    for reader in dict.fromkeys(use.node for use in output.uses()):
        if reader not in nodes or not (is_norm(reader) or has_trait(reader, _MOVES)):
            return None
        further = [] if is_norm(reader) else _moves_behind(reader, nodes)
        if further is None:
            return None
        found += further if is_norm(reader) else [reader, *further]
    return found
