"""Channels that kernels like: zero channels are added where onnxruntime's integer convolutions are slow without them.

    dense      x with C channels, C % 4 != 0      Pad x with its zero point to a multiple of 4, and the weight with zeros
    depthwise  C % 16 != 0 between two dense      zero filters in the layer before, the layer itself and the layer behind

A zero weight adds nothing to an accumulator, so every other element stays what it was, bit for bit. On AVX-512 a first
layer of 3 channels takes 0.6 of its time, a depthwise layer of 8 channels a half.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.integer.metadata import Meaning
from qconv.model.graph import attr_int, const_array, sole_consumer
from qconv.model.names import Names
from qconv.ops.kernel_order import padded_channels
from qconv.quant.fixedpoint import Multiplier
from qconv.tuning.constants import new_constant, replace_constant

_DEPTHWISE = 16
_X_ZERO_POINT, _WEIGHT, _W_SCALE, _W_ZERO_POINT, _BIAS = 2, 3, 4, 5, 8


def widen_depthwise(graph: ir.Graph, names: Names, meanings: dict[ir.Node, Meaning]) -> int:
    """Adds zero channels to depthwise layers in place, and to what nodes mean; the number of layers changed."""
    return sum(_widen_depthwise(node, names, meanings) for node in list(graph) if _is_layer(node))


def pad_inputs(graph: ir.Graph, names: Names) -> int:
    """Adds zero channels to inputs of dense layers in place; the number of layers changed.

    They are always added: weights keep to safe pairs of neighbours as the kernel then meets them.
    """
    return sum(_pad_input(node, names) for node in list(graph) if _is_layer(node))


def _is_layer(node: ir.Node) -> bool:
    return node.op_type == "QLinearConv" and node.domain == ""


def _pad_input(node: ir.Node, names: Names) -> int:
    """Pads a dense layer's input, where that adds at most a third to its work."""
    weight, x = const_array(node.inputs[_WEIGHT]), node.inputs[0]
    if weight is None or x is None:
        return 0
    channels = weight.shape[1]
    added = padded_channels(channels, weight.ndim, attr_int(node, "group", 1)) - channels
    if not added:
        return 0
    pads = np.zeros(8, np.int64)
    pads[5] = added
    padded = ir.Value(name=names.fresh(f"{x.name}_padded"), type=x.type, shape=_with_channels(x, channels + added))
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    zero_point = const_array(node.inputs[_X_ZERO_POINT])
    assert zero_point is not None
    inputs = [
        x,
        new_constant(graph, names, f"{node.name}_pads", pads),
        new_constant(graph, names, f"{node.name}_pad_value", zero_point),
    ]
    graph.insert_before(node, ir.Node("", "Pad", inputs, outputs=[padded], name=names.fresh_node(f"{node.name}/pad")))
    node.replace_input_with(0, padded)
    _widen_input(node, names, added)
    return 1


def _widen_depthwise(node: ir.Node, names: Names, meanings: dict[ir.Node, Meaning]) -> int:
    """Widens a depthwise layer between two dense ones, where that at most doubles its channels."""
    before, behind = _neighbours(node)
    channels = attr_int(node, "group", 1)
    added = -channels % _DEPTHWISE
    weight = const_array(node.inputs[_WEIGHT])
    if before is None or behind is None or weight is None or weight.shape[0] != channels or not added or added > channels:
        return 0
    for widened in (before, node):
        _widen_meaning(widened, meanings, added)
        _widen_output(widened, names, added)
    node.attributes["group"] = ir.AttrInt64("group", channels + added)
    _widen_input(behind, names, added)
    return 1


def _neighbours(node: ir.Node) -> tuple[ir.Node | None, ir.Node | None]:
    """The dense convolutions before and behind a depthwise one that nothing else reads between; None otherwise."""
    x = node.inputs[0]
    before = x.producer() if x is not None else None
    behind = sole_consumer(node.outputs[0])
    if attr_int(node, "group", 1) == 1 or before is None or behind is None or sole_consumer(before.outputs[0]) is not node:
        return None, None
    dense = all(n.op_type == "QLinearConv" and n.domain == "" and attr_int(n, "group", 1) == 1 for n in (before, behind))
    return (before, behind) if dense and _keeps_pairs(behind) else (None, None)


def _keeps_pairs(node: ir.Node) -> bool:
    """Whether more input channels leave neighbours of a weight neighbours, as safe pairs were chosen (quant/saturation.py)."""
    weight = const_array(node.inputs[_WEIGHT])
    return weight is not None and padded_channels(weight.shape[1], weight.ndim, 1) % 2 == 0


def _widen_input(node: ir.Node, names: Names, added: int) -> None:
    replace_constant(node, _WEIGHT, names, _zeros(_array(node, _WEIGHT), added, 1))


def _widen_output(node: ir.Node, names: Names, added: int) -> None:
    """Adds zero filters; their scale is the smallest of the layer, which is as certified as that one."""
    output = node.outputs[0]
    replace_constant(node, _WEIGHT, names, _zeros(_array(node, _WEIGHT), added, 0))
    scale = _array(node, _W_SCALE)
    if scale.ndim:
        replace_constant(node, _W_SCALE, names, np.concatenate([scale, np.full(added, scale.min(), scale.dtype)]))
        replace_constant(node, _W_ZERO_POINT, names, _zeros(_array(node, _W_ZERO_POINT), added, 0))
    if len(node.inputs) > _BIAS:
        replace_constant(node, _BIAS, names, _zeros(_array(node, _BIAS), added, 0))
    if output.shape is not None and isinstance(output.shape[1], int):
        output.shape = _with_channels(output, output.shape[1] + added)


def _widen_meaning(node: ir.Node, meanings: dict[ir.Node, Meaning], added: int) -> None:
    """Gives the channels that are to be added the multiplier of the smallest scale, which they share."""
    meaning, scale = meanings[node], _array(node, _W_SCALE)
    if not scale.ndim:
        return
    (multiplier,) = meaning.multipliers
    smallest = int(scale.argmin())
    m0, n = (np.concatenate([part, np.full(added, part[smallest])]) for part in (multiplier.m0, multiplier.n))
    meanings[node] = replace(meaning, multipliers=(Multiplier(m0, n),))


def _with_channels(value: ir.Value, channels: int) -> ir.Shape | None:
    if value.shape is None:
        return None
    return ir.Shape([channels if i == 1 else size for i, size in enumerate(value.shape)])


def _array(node: ir.Node, index: int) -> NDArray[np.generic]:
    array = const_array(node.inputs[index])
    assert array is not None
    return array


def _zeros(array: NDArray[np.generic], added: int, axis: int) -> NDArray[np.generic]:
    return np.pad(array, [(0, added if i == axis else 0) for i in range(array.ndim)])
