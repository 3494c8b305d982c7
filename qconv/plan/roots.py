"""Functions that are infinitely steep at one end, of sums: the root of a sum of squares, where some sums are next to nothing.

Few elements lie there, so that the network as a whole loses little (steep.py), but these are off by many codes:

    sqrt(S / 2) / S_y = 11 codes        S = R / 255,  S_y = sqrt(R) / 255

The sum is computed in int32 anyway. So the function reads it as it is, where calibration has met such sums.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import onnx_ir as ir

from qconv.model.evaluate import function_of
from qconv.model.graph import const_array
from qconv.model.traits import Trait, has_trait
from qconv.ops.wide_forms import has_wide_form
from qconv.plan.steep import DistributionOf, Steep
from qconv.quant.types import QuantParams

_MOST_CODES = 4.0  # that a function of an 8-bit sum may be off by


def roots_of_sums(nodes: Collection[ir.Node], tensors: Mapping[str, QuantParams], met_of: DistributionOf) -> Steep:
    """Such functions among the integer nodes, with the sums that they read, and the squares that these are of."""
    found = Steep()
    for node in nodes:
        x = node.inputs[0]
        total = None if x is None else x.producer()
        if total is None or total not in nodes or not has_trait(node, Trait.CURVES) or not _is_of_one(node):
            continue
        if not has_trait(total, Trait.TOTALS | Trait.AVERAGES) or not has_wide_form(total) or not _is_off(node, tensors, met_of):
            continue
        squares = total.inputs[0].producer() if total.inputs[0] is not None else None
        region = [total, *([squares] if squares is not None and squares in nodes and _squares(squares) else [])]
        names = frozenset(str(n.name) for n in (node, *region))
        found = found.joined(Steep(names, frozenset(str(n.outputs[0].name) for n in region)))
    return found


def _is_of_one(node: ir.Node) -> bool:
    others = [const_array(value) for value in node.inputs[1:] if value is not None]
    return const_array(node.inputs[0]) is None and all(array is not None and array.size == 1 for array in others)


def _squares(node: ir.Node) -> bool:
    of_itself = has_trait(node, Trait.MULTIPLIES) and node.inputs[0] is node.inputs[1]
    return has_wide_form(node) and (of_itself or has_trait(node, Trait.CURVES))  # of the curves, only x^2 has such a form


def _is_off(node: ir.Node, tensors: Mapping[str, QuantParams], met_of: DistributionOf) -> bool:
    """Whether an element that calibration has met is off by more codes of y than it should be, were its sum a code."""
    names = [str(value.name) for value in (node.inputs[0], node.outputs[0]) if value is not None]
    x, y, met = tensors.get(names[0]), tensors.get(names[1]), met_of(names[0])
    if x is None or y is None or met is None or not met.values.size or y.axis is not None or x.axis is not None:
        return False
    points = met.values[(met.counts > 0) & (met.values >= x.ends[0]) & (met.values <= x.ends[1])]
    both = [function_of(node, 0, reals).reshape(-1).astype(np.float64) for reals in (points, x.dequantize(x.quantize(points)))]
    exact, rounded = (np.clip(reals, *y.ends) for reals in both)
    off = np.abs(exact - rounded)
    return bool(off[np.isfinite(off)].max(initial=0.0) > _MOST_CODES * float(y.scale))
