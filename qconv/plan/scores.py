"""Scores of attention whose steps are too large for a softmax, in wide integers.

A step S of a score is a factor exp(S) of a probability, so that codes leave noise of S / sqrt(12) of each. Where scores are
spread over many units, as without the division by the root of their length, S is large, and the sums of the product are kept in
int32 up to the exponentials (lower/attention.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import onnx_ir as ir

from qconv.model.graph import const_array
from qconv.model.traits import Trait, has_trait
from qconv.ops.forms import scalar_factor
from qconv.plan.steep import Steep
from qconv.plan.wide import is_product_of_two, is_wide_sum, weighs_values
from qconv.quant.types import QuantParams

_COARSE = 0.1  # 31 dB are left of a probability


def coarse_scores(nodes: Collection[ir.Node], tensors: Mapping[str, QuantParams]) -> Steep:
    """The softmaxes of attention whose scores have steps above _COARSE, with the nodes back to the products that make them."""
    found, integer = Steep(), set(nodes)
    for node in nodes:
        x = node.inputs[0] if weighs_values(node, integer) else None
        params = None if x is None else tensors.get(str(x.name))
        if x is None or params is None or float(params.scale) <= _COARSE:
            continue
        makers = _makers(x, integer)
        if makers:
            wide = (*(maker.outputs[0] for maker in makers), node.outputs[0])
            names = frozenset(str(n.name) for n in (node, *makers))
            found = found.joined(Steep(names, frozenset(str(v.name) for v in wide)))
    return found


def _makers(value: ir.Value, integer: Collection[ir.Node]) -> list[ir.Node]:
    """The nodes from a product of two activations to a value that only one node reads; none where others are among them."""
    maker = value.producer()
    if maker is None or maker not in integer or value.is_graph_output() or len(value.uses()) != 1:
        return []
    if is_product_of_two(maker):
        return [maker]
    computed = [v for v in maker.inputs if v is not None and const_array(v) is None]
    scaled = has_trait(maker, Trait.MULTIPLIES) and scalar_factor(maker) is not None
    for operand in computed if scaled or is_wide_sum(maker) else ():
        before = _makers(operand, integer)
        if before:
            return [maker, *before]
    return []
