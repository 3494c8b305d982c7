"""Fold a Pad into the convolutions and pools after it.

1. Every user of the Pad can take it, and it extends spatial axes only, by no negative amount.
2. Conv pads with zeros: the Pad's value is 0.
3. AveragePool counts the zeros: count_include_pad, which a pool that pads for itself must already have, and no ceil_mode.
4. MaxPool pads with minus infinity: the Pad's value is that, or it is 0 and no input is negative, so that 0 never wins over
   the element that every window has.
5. A pool's padding must be smaller than its kernel.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from qconv.model.edit import Editor, set_attribute
from qconv.model.graph import attr_int, attr_ints, attr_str, const_array

from .normalize_clamps import clamp_of

_NOT_NEGATIVE = ("Sigmoid", "HardSigmoid", "Softmax", "Exp", "Abs", "Softplus")
_PASSES_SIGN = ("MaxPool", "AveragePool", "GlobalAveragePool", "Reshape", "Transpose", "Flatten", "Slice")


def fold_pad(model: ir.Model) -> int:
    """Fold every Pad that its users can do themselves; returns their number."""
    editor = Editor(model.graph)
    return sum(_fold(editor, node) for node in tuple(model.graph) if node.op_type == "Pad" and not node.domain)


def _fold(editor: Editor, pad: ir.Node) -> int:
    padded, x, extra = pad.outputs[0], pad.inputs[0], _spatial_pads(pad)
    layers = padded.consumers()
    if not layers or x is None or extra is None or padded.is_graph_output():
        return 0
    if not all(layer.graph is pad.graph and _accepts(layer, pad, x, extra) for layer in layers):
        return 0
    for layer in layers:
        set_attribute(layer, "pads", _added(layer, extra))
        layer.attributes.pop("auto_pad", None)
        if layer.op_type == "AveragePool":
            set_attribute(layer, "count_include_pad", 1)
    editor.bypass(padded, x)
    return 1


def _added(layer: ir.Node, extra: list[int]) -> list[int]:
    """The pads of a layer and of the Pad before it together."""
    return [a + b for a, b in zip(attr_ints(layer, "pads", [0] * len(extra)), extra, strict=True)]


def _accepts(layer: ir.Node, pad: ir.Node, x: ir.Value, extra: list[int]) -> bool:
    """Whether a layer can do what a Pad of x does."""
    value = _value(pad)
    if layer.domain or layer.inputs[0] is not pad.outputs[0] or attr_str(layer, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return False
    if layer.op_type == "Conv":
        return value == 0
    if layer.op_type not in ("AveragePool", "MaxPool") or attr_int(layer, "ceil_mode", 0):
        return False
    kernel = attr_ints(layer, "kernel_shape", ())
    if any(amount >= size for amount, size in zip(_added(layer, extra), kernel * 2, strict=True)):
        return False
    if layer.op_type == "AveragePool":
        counted = bool(attr_int(layer, "count_include_pad", 0)) or not any(attr_ints(layer, "pads", ()))
        return value == 0 and counted
    dilated = set(attr_ints(layer, "dilations", (1,))) != {1}
    return not dilated and (value <= float(np.finfo(np.float32).min) or (value == 0 and _is_not_negative(x)))


def _is_not_negative(value: ir.Value) -> bool:
    """Whether the node that makes a value rules out negative elements."""
    maker = value.producer()
    if maker is None or maker.domain:
        return False
    if maker.op_type in _PASSES_SIGN and maker.inputs[0] is not None:
        return _is_not_negative(maker.inputs[0])
    clamp = clamp_of(maker)
    return maker.op_type in _NOT_NEGATIVE or (clamp is not None and clamp[1].lo >= 0)


def _value(pad: ir.Node) -> float:
    """The constant that is padded with; NaN where it is computed."""
    value = pad.inputs[2] if len(pad.inputs) > 2 else None
    array = const_array(value)
    return 0.0 if value is None else math.nan if array is None else float(array.reshape(()))


def _spatial_pads(pad: ir.Node) -> list[int] | None:
    """Begins and ends of the axes from 2 on; None if they are not constant, or other axes or modes are involved."""
    amounts, x = const_array(pad.inputs[1]), pad.inputs[0]
    if amounts is None or x is None or x.shape is None or attr_str(pad, "mode", "constant") != "constant" or amounts.min() < 0:
        return None
    rank, axes = len(x.shape), const_array(pad.inputs[3]) if len(pad.inputs) > 3 else None
    full = np.zeros((2, rank), np.int64)
    full[:, range(rank) if axes is None else axes.astype(int) % rank] = amounts.reshape(2, -1)
    return None if rank < 3 or full[:, :2].any() else [int(amount) for amount in full[:, 2:].reshape(-1)]
