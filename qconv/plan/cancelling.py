"""Sums and layers that take away most of what their operands hold, so that the rounding of these is what is left.

    y = a - b,  a and b between 290 and 310          y = W x, the weights of a row adding up to 0, x between 290 and 310

Rounding an operand to steps of S adds noise to y, which is estimated from the plan and the histogram of y:

    SQNR = var y / (sum over operands of g S^2 / 12)        g = 1 for a sum, the mean over rows of sum w^2 for a layer

Where that is too little, and the codes of y itself would do, the nodes back to the inputs of the graph, or to tensors that are
fine enough, are computed in wide integers, as those that lead to a steep function are (steep.py). With layers among them they
stay in float: finer operands are no help where codes of weights have to cancel too. A layer
counts only where x itself varies over few codes.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from qconv.model.graph import const_array, is_float, sole_consumer
from qconv.model.traits import Trait, has_trait
from qconv.ops.forms import by_channels, summed_axes
from qconv.ops.op_table import has_weight
from qconv.ops.wide_forms import has_wide_form
from qconv.plan.steep import BITS_OF_INPUT, MOST_NODES, Distribution, DistributionOf, Steep, region_of
from qconv.quant.types import QuantParams

_LOWEST_DB = 15.0  # less says that rounding drowns the node; ordinary ones have 25 and more
_ENOUGH_DB = 27.0  # of finer steps, and of the codes of y


@dataclass(frozen=True)
class _Drowned:
    """A node, what rounding its operands leaves of it in dB, and the nodes and inputs of the graph that it begins with."""

    node: ir.Node
    db: float
    fine_db: float
    region: tuple[ir.Node, ...]
    inputs: tuple[ir.Value, ...]


def settle_cancelling(
    nodes: Collection[ir.Node], tensors: Mapping[str, QuantParams], met_of: DistributionOf, *, keep_integer: bool
) -> Steep:
    """What becomes of such nodes of a graph that takes reals; `keep_integer` says that no node may stay in float."""
    found = Steep()
    for drowned in _drowned(nodes, tensors, met_of):
        if len(drowned.region) > MOST_NODES:
            continue
        names = frozenset(str(node.name) for node in drowned.region)
        layers = any(has_trait(node, Trait.WEIGHTS) for node in drowned.region)
        if drowned.fine_db >= _ENOUGH_DB and not layers and all(map(has_wide_form, drowned.region)):
            values = (*drowned.inputs, *(node.outputs[0] for node in drowned.region))
            found = found.joined(Steep(names, frozenset(str(value.name) for value in values)))
        elif not keep_integer:
            found = found.joined(Steep(in_float={str(node.name): _reason(node, drowned) for node in drowned.region}))
    return Steep(in_float=found.in_float) if found.nodes & set(found.in_float) else found


def _drowned(nodes: Collection[ir.Node], tensors: Mapping[str, QuantParams], met_of: DistributionOf) -> Iterator[_Drowned]:
    for node in nodes:
        y, met = tensors.get(str(node.outputs[0].name)), _met(node.outputs[0], met_of)
        operands = {value: gain for value, gain in _operands(node).items() if _is_plain(tensors.get(str(value.name)))}
        if not _is_plain(y) or y is None or met is None or not met.values.size or not operands:
            continue
        signal = _variance(met)
        if _db(signal, float(y.scale) ** 2 / 12) < _ENOUGH_DB:
            continue  # its own codes lose it too, which plan/far_from_zero.py tells
        noises = {value: gain * float(tensors[str(value.name)].scale) ** 2 / 12 for value, gain in operands.items()}
        db = _db(signal, sum(noises.values()))
        if db >= _LOWEST_DB or (has_trait(node, Trait.WEIGHTS) and not _is_far_from_zero(node.inputs[0], tensors, met_of)):
            continue
        region, inputs = dict[ir.Node, None](), dict[ir.Value, None]()
        for value, noise in noises.items():
            if _db(signal, noise) < _ENOUGH_DB:
                own, first = region_of(value, node, nodes, tensors, met_of)
                region |= dict.fromkeys(own)
                inputs |= dict.fromkeys(first)
        fine = sum(gain * _fine_step(tensors[str(value.name)]) ** 2 / 12 for value, gain in operands.items())
        yield _Drowned(node, db, _db(signal, fine), tuple(region), tuple(inputs))


def _is_far_from_zero(value: ir.Value | None, tensors: Mapping[str, QuantParams], met_of: DistributionOf) -> bool:
    """Whether a tensor varies over few codes; where only some channels do, channels get scales of their own."""
    met = None if value is None else met_of(str(value.name))
    if value is None or met is None or not met.values.size:
        return False
    return _db(_variance(met), float(tensors[str(value.name)].scale) ** 2 / 12) < _ENOUGH_DB


def _variance(met: Distribution) -> float:
    mean = np.average(met.values, weights=met.counts)
    return float(np.average((met.values - mean) ** 2, weights=met.counts))


def _operands(node: ir.Node) -> dict[ir.Value, float]:
    """What a sum of two or a layer reads besides constants, with the gain of its noise."""
    if has_trait(node, Trait.SUMS) and len(node.inputs) == 2:
        return {value: 1.0 for value in node.inputs if value is not None and is_float(value) and const_array(value) is None}
    weight = const_array(node.inputs[1]) if has_trait(node, Trait.WEIGHTS) and has_weight(node) else None
    if weight is None or weight.ndim < 2 or node.inputs[0] is None:
        return {}
    squares = np.square(by_channels(node, weight).astype(np.float64))
    return {node.inputs[0]: float(squares.sum(axis=summed_axes(node)).mean())}


def _met(output: ir.Value, met_of: DistributionOf) -> Distribution | None:
    """The values of a tensor, or what a clamp leaves of them where only that was looked at."""
    met, user = met_of(str(output.name)), sole_consumer(output)
    return met_of(str(user.outputs[0].name)) if met is None and user is not None and has_trait(user, Trait.CLAMPS) else met


def _is_plain(params: QuantParams | None) -> bool:
    return params is not None and params.axis is None and params.int_type.bits >= 8


def _fine_step(params: QuantParams) -> float:
    return float(max(map(abs, params.ends))) / (1 << BITS_OF_INPUT)


def _db(signal: float, noise: float) -> float:
    if noise <= 0.0:
        return math.inf
    return 10.0 * math.log10(signal / noise) if signal > 0.0 else -math.inf


def _reason(node: ir.Node, drowned: _Drowned) -> str:
    if node is drowned.node:
        return (
            f"it takes away most of what its operands hold, and about {drowned.db:.0f} dB would be left in 8 bits; operands "
            "with their middle taken off would let it become integer"
        )
    return f"it leads to {drowned.node.name}, which takes away most of what its operands hold"
