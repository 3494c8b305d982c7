"""Outputs in 16 bits: scores and probabilities, most of which are small beside the largest.

A step of 1/255 hides scores of .002 beside a single one of .9. What 8 bits leave of an output is estimated from its histogram,
with the codes q(x) of the plan:

    SQNR = E x^2 / E (q(x) - x)^2

where x lies in a band far from zero, of what varies in it. Where that is too little, and the output is a function of codes of
which there is a table, or a Softmax, its codes have 16 bits: the entries of a table may as well have 16. What only moves elements
on the way to the outputs moves such codes.

Scores that are a product with a constant matrix have 16 bits always, if they are few beside what the network multiplies: their
sums are in int32 anyway, and there is room for what calibration has not met. A hundred samples have a thousand scores of ten
classes, and a single score cut off among the next hundred samples may be as much noise as all the rest of the network.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from qconv.model.graph import attr_int, const_array, is_float
from qconv.model.traits import Trait, has_trait
from qconv.ops.forms import bias_of, output_channels, uses_of_weight
from qconv.ops.op_table import has_weight, rule_of
from qconv.ops.scale_rules import Fixed
from qconv.plan.far_from_zero import is_far_band
from qconv.plan.steep import DistributionOf, Steep
from qconv.plan.wide import is_product
from qconv.quant.types import INT16, QuantParams, is_fine

_LOWEST_DB = 40.0  # what a network loses before its outputs leaves less, so that this is hardly seen
_LOWEST_OF_SHARES = 30.0  # of a Softmax, which takes ten nodes instead of one
_PRODUCTS = 10_000  # of the network for each element of a product in 16 bits, which takes six more nodes
_ROOM = 2.0  # times what calibration has seen of a product, as there are codes enough
_FARTHEST_BIAS = 1000.0  # times what it leaves, for which int32 has no room in such steps
LONGEST_SOFTMAX = (1 << 16) - 1  # exponentials of 15 bits, whose sum stays in int32
_CARRIES = Trait.RESHAPES | Trait.PERMUTES | Trait.TAKES | Trait.JOINS  # with kernels for int16


def fine_parts(nodes: Sequence[ir.Node]) -> list[frozenset[str]]:
    """The tensors that may have 16 bits, in sets that have one scale: functions of codes, and what moves their elements.

    `nodes` are the integer ones, in the order of the graph; all others read reals.
    """
    integer, ending, most = set(nodes), set[ir.Value](), _multiplied(nodes) // _PRODUCTS
    for node in reversed(nodes):
        ending.update(value for value in node.outputs if is_float(value) and _ends(value, integer, ending))
    parts, spoiled = dict[ir.Value, set[ir.Value]](), set[ir.Value]()
    for node in nodes:
        outputs = [value for value in node.outputs if value in ending]
        read = [value for value in node.inputs if value is not None and is_float(value)]
        carried = read if has_trait(node, _CARRIES) else []
        if not outputs:
            continue
        joined = set(outputs).union(*(parts.get(value, {value}) for value in carried))
        parts |= dict.fromkeys(joined, joined)
        if not (all(value in ending for value in carried) if carried else _is_function(node) or _is_small_product(node, most)):
            spoiled.update(outputs)
    found = dict.fromkeys(frozenset(part) for part in parts.values())
    return [frozenset(str(value.name) for value in part) for part in found if not part & spoiled]


def fine_outputs(nodes: Sequence[ir.Node], tensors: Mapping[str, QuantParams], met_of: DistributionOf) -> Steep:
    """Those of them that 8 bits do not serve, by the parameters of a plan and what calibration has met."""
    shares, products = _shares(nodes), _products(nodes)

    def lowest(part: frozenset[str]) -> float:
        return math.inf if part & products.keys() else _LOWEST_OF_SHARES if part & shares else _LOWEST_DB

    coarse = [part for part in fine_parts(nodes) if _left(part, tensors, met_of) < lowest(part)]
    return Steep(fine=frozenset().union(*coarse))


def fine_params(nodes: Sequence[ir.Node], tensors: Mapping[str, QuantParams], fine: Collection[str]) -> dict[str, QuantParams]:
    """Codes of 16 bits around zero for the tensors of `fine`, as far as they still belong together."""
    shares, products, found = _shares(nodes), _products(nodes), dict[str, QuantParams]()
    for part in fine_parts(nodes):
        if part <= set(fine) and part <= tensors.keys():
            made = part & products.keys()
            reach = max(abs(end) for name in part for end in tensors[name].ends) * (_ROOM if made else 1.0)
            if all(products[name] <= _FARTHEST_BIAS * reach for name in made):
                found |= dict.fromkeys(part, _around_zero(1.0 if part & shares else reach))
    return found


def as_they_may(nodes: Sequence[ir.Node], tensors: Mapping[str, QuantParams]) -> frozenset[str]:
    """Those of the tensors with 16 bits that may have them: they share one scale, which is that of a Softmax among them."""
    shares, found = _shares(nodes), set[str]()
    for part in fine_parts(nodes):
        given = {tensors.get(name) for name in part}
        one = next(iter(given))
        fits = len(given) == 1 and one is not None and is_fine(one) and not one.zero_point.any()
        if fits and (one == _around_zero(1.0) or not part & shares):
            found |= part
    return frozenset(found)


def _around_zero(largest: float) -> QuantParams:
    """Steps of a power of two, as every grid has them; the largest one may saturate by one of them."""
    bits = math.ceil(math.log2(largest / (INT16.qmax + 1)))
    return QuantParams(np.asarray(2.0**bits, np.float32), np.asarray(0), INT16)


def _shares(nodes: Sequence[ir.Node]) -> set[str]:
    """The outputs of Softmaxes, which are computed in steps of one size."""
    return {str(node.outputs[0].name) for node in nodes if has_trait(node, Trait.PROBABILITIES)}


def _products(nodes: Sequence[ir.Node]) -> dict[str, float]:
    """The outputs of products with constant matrices, and the largest magnitude of what each adds to its sums."""
    biases = {str(node.outputs[0].name): bias_of(node) for node in nodes if is_product(node)}
    return {name: 0.0 if bias is None else float(np.abs(bias).max(initial=0.0)) for name, bias in biases.items()}


def _ends(value: ir.Value, integer: Collection[ir.Node], ending: Collection[ir.Value]) -> bool:
    """Whether a tensor is only moved until its reals are read."""
    users = [use for use in value.uses() if not has_trait(use.node, Trait.MEASURES)]
    return (bool(users) or value.is_graph_output()) and all(
        use.node not in integer
        or (has_trait(use.node, _CARRIES) and all(output in ending for output in use.node.outputs if is_float(output)))
        for use in users
    )


def _is_function(node: ir.Node) -> bool:
    """Whether a node makes each element of one code, by a table, or is a Softmax along an axis of known length."""
    if isinstance(rule_of(node), Fixed):
        return False
    if has_trait(node, Trait.PROBABILITIES):
        shape = node.outputs[0].shape
        size = None if shape is None else shape[attr_int(node, "axis", -1)]
        return isinstance(size, int) and 0 < size <= LONGEST_SOFTMAX
    others = [const_array(value) for value in node.inputs[1:] if value is not None]
    single = const_array(node.inputs[0]) is None and all(array is not None and array.size == 1 for array in others)
    return single and has_trait(node, Trait.CURVES | Trait.GATES)


def _is_small_product(node: ir.Node, most: int) -> bool:
    """Whether a node multiplies by a constant matrix, and its output has at most so many elements for one sample."""
    uses = uses_of_weight(node) if is_product(node) else None
    return uses is not None and uses * output_channels(node) <= most


def _multiplied(nodes: Sequence[ir.Node]) -> int:
    """What the layers multiply for one sample at least: each weight once where the size of an output is not known."""
    layers = ((const_array(node.inputs[1]), uses_of_weight(node)) for node in nodes if has_weight(node))
    return sum(weight.size * (uses or 1) for weight, uses in layers if weight is not None)


def _left(part: Collection[str], tensors: Mapping[str, QuantParams], met_of: DistributionOf) -> float:
    """What the codes of a plan leave of tensors, in dB; much where nothing is known."""
    signal = noise = 0.0
    for name in part:
        params, met = tensors.get(name), met_of(name)
        if params is None or params.int_type.bits != 8 or params.axis is not None:
            return float("inf")
        if met is not None:
            error = params.dequantize(params.quantize(met.values)) - met.values
            middle = float(met.counts @ met.values / met.counts.sum()) if is_far_band(met.values, params) else 0.0
            signal, noise = signal + float(met.counts @ (met.values - middle) ** 2), noise + float(met.counts @ error**2)
    return float(10 * np.log10(signal / noise)) if signal > 0 and noise > 0 else float("inf")
