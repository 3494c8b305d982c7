"""Groups of few channels are merged with zero weights: onnxruntime gathers and multiplies each group by itself.

    n channels in and o out, g groups      time ~ g (G + n o), where a group itself costs as much as G = 1,500 products
    m groups in one                        time ~ g / m (G + m n m o)

A weight of zero adds nothing to an accumulator, so that every element stays what it was. Of 32 groups of 4 channels 4 are left,
which take a fifth of the time.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.integer.metadata import Meaning
from qconv.model.graph import attr_int, const_array
from qconv.model.names import Names
from qconv.tuning.constants import replace_constant

_GROUP = 1500  # measured on AVX-512 with kernels of 1, 9 and 25 places
_WORTH_WHILE = 0.9
_WEIGHT = 3


def merge_groups(graph: ir.Graph, names: Names, meanings: dict[ir.Node, Meaning]) -> int:
    """Merges groups of convolutions in place, where that is worth while; the number of layers changed."""
    return sum(_merge(node, names) for node in list(graph) if node.op_type == "QLinearConv" and node.domain == "")


def _merge(node: ir.Node, names: Names) -> int:
    groups, weight = attr_int(node, "group", 1), const_array(node.inputs[_WEIGHT])
    if groups == 1 or weight is None or weight.shape[1] == 1 == weight.shape[0] // groups:
        return 0
    merged = _how_many(groups, weight.shape[1], weight.shape[0] // groups)
    if merged == 1:
        return 0
    replace_constant(node, _WEIGHT, names, _block_diagonal(weight, groups, merged))
    node.attributes["group"] = ir.AttrInt64("group", groups // merged)
    return 1


def _how_many(groups: int, inputs: int, outputs: int) -> int:
    """How many groups become one; 1 where none do.

    An odd number of channels would shift the pairs of neighbours that were chosen to be safe (quant/saturation.py); a single one
    has zeros for neighbours.
    """
    choices = [m for m in range(1, groups + 1) if groups % m == 0 and (inputs % 2 == 0 or (inputs == 1 and m % 2 == 0) or m == 1)]
    times = {m: groups // m * (_GROUP + m * inputs * m * outputs) for m in choices}
    best = min(choices, key=times.__getitem__)
    return best if times[best] < _WORTH_WHILE * times[1] else 1


def _block_diagonal(weight: NDArray[np.generic], groups: int, merged: int) -> NDArray[np.generic]:
    """[O, n, *kernel] as [O, m n, *kernel], each filter at the channels of its group."""
    outputs, inputs, *kernel = weight.shape
    wide = np.zeros((outputs, merged, inputs, *kernel), weight.dtype)
    filters = np.arange(outputs)
    wide[filters, filters // (outputs // groups) % merged] = weight
    return wide.reshape(outputs, merged * inputs, *kernel)
