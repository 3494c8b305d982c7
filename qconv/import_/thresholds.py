"""Signs behind layers whose codes are known, met as one whole threshold for each channel.

A layer gives S_x S_w acc + b, with acc a whole sum of products of codes. Its sign asks for acc >= T = ceil(-b / (S_x S_w)), and
so for the sign of an odd number:

    s sign(S_x S_w acc + b) = clip(s (2 acc - 2 T + 1), -s, s)

Weights of twice the codes under the scale s / S_x, the bias s (1 - 2 T) and a clamp to -s and s say that: no sum is zero, and the
requantization saturates. What lies between, as a MaxPool, only has to keep the order of numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from qconv.model.edit import Editor
from qconv.model.graph import const_array, sole_consumer
from qconv.model.traits import Trait, has_trait
from qconv.ops.forms import bias_of, by_channels, channel_axis, of_channels, output_channels
from qconv.ops.op_table import has_weight, takes_bias
from qconv.quant.copies import fits_int8
from qconv.quant.params import quantize_weight
from qconv.quant.pins import PinnedWeight, Pins
from qconv.quant.types import INT8, INT9, FloatArray, IntType, QuantParams

_SIGNS = IntType(2, signed=True, narrow=True)
_IN_ORDER = Trait.MOVES | Trait.EXTREMES
_MOST = 1 << 24  # of a threshold: float32 holds the odd numbers up to twice that


@dataclass(frozen=True)
class _Sign:
    """+scale where the output of a layer is not negative, else -scale: `choice` makes it, `condition` compares."""

    layer: ir.Node
    x: ir.Value
    condition: ir.Node
    choice: ir.Node
    scale: FloatArray


def signs_to_thresholds(graph: ir.Graph, pins: Pins) -> Pins:
    """Writes every such sign as a clamp of odd multiples of its scale, in place; returns the pins that go with it."""
    editor = Editor(graph)
    for node in tuple(graph):
        sign = _sign_at(node)
        if sign is not None:
            pins = _write(editor, sign, pins)
    return pins


def _sign_at(choice: ir.Node) -> _Sign | None:
    if not has_trait(choice, Trait.CHOOSES) or len(choice.inputs) != 3 or choice.inputs[0] is None:
        return None
    condition, (up, down) = choice.inputs[0].producer(), (const_array(value) for value in choice.inputs[1:])
    if condition is None or condition.op_type != "GreaterOrEqual" or up is None or down is None:
        return None
    x, bound = condition.inputs[0], const_array(condition.inputs[1])
    if bound is None or bound.any() or up.size != 1 or down.size != 1 or not up.item() == -down.item() > 0:
        return None
    layer = _layer_of(x)
    if x is None or layer is None or sole_consumer(condition.outputs[0]) is None:
        return None
    return _Sign(layer, x, condition, choice, np.asarray(up.item(), np.float32))


def _layer_of(value: ir.Value | None) -> ir.Node | None:
    """The layer with a bias whose outputs, or the greatest of them, a value consists of, where nothing else reads them."""
    while value is not None and sole_consumer(value) is not None:
        maker = value.producer()
        if maker is None or (has_weight(maker) and channel_axis(maker) is not None):
            return maker if maker is not None and takes_bias(maker) else None
        if not has_trait(maker, _IN_ORDER):
            return None
        value = maker.inputs[0]
    return None


def _write(editor: Editor, sign: _Sign, pins: Pins) -> Pins:
    layer, (x, w, *_) = sign.layer, sign.layer.inputs
    weight, read = const_array(w), _params_of(x, pins)
    assert weight is not None
    pinned, given = next(pins.matches(weight, channel_axis(layer)), (None, None))
    if read is None or pinned is None or given is None:
        return pins
    codes = quantize_weight(by_channels(layer, weight), given).astype(np.int64)
    bias, unit = bias_of(layer), float(read.scale) * given.scale.astype(np.float64)
    thresholds = np.ceil(-(np.zeros(1) if bias is None else bias.astype(np.float64)) / unit)
    if np.abs(thresholds).max() > _MOST:
        return pins
    step = np.asarray(sign.scale / read.scale, np.float32)
    params = QuantParams(step, np.asarray(0), INT8 if fits_int8(2 * codes) else INT9)
    reals = np.asarray(of_channels(layer, (2 * codes * step).astype(np.float32)))
    offsets = np.broadcast_to((sign.scale * (1 - 2 * thresholds)).astype(np.float32), (output_channels(layer),))
    editor.set_constant(layer, 1, reals, "odd")
    editor.set_constant(layer, 2, np.ascontiguousarray(offsets), "thresholds")
    layer.outputs[0].name = f"{layer.outputs[0].name}/odd"
    bounds = (("low", -sign.scale), ("high", sign.scale))
    ends = [editor.constant(f"{sign.choice.name}/{name}", np.asarray(end, np.float32)) for name, end in bounds]
    editor.rewrite(sign.choice, "Clip", [sign.x, *ends])
    editor.graph.remove(sign.condition, safe=True)
    output = {str(sign.choice.outputs[0].name): QuantParams(sign.scale, np.asarray(0), _SIGNS)}
    others = [other for other in pins.weights if other.name != pinned.name]
    return Pins({**pins.activations, **output}, (*others, PinnedWeight(pinned.name, reals, params)))


def _params_of(value: ir.Value | None, pins: Pins) -> QuantParams | None:
    """The parameters of a tensor, or of the one whose elements it has."""
    while value is not None and str(value.name) not in pins.activations:
        maker = value.producer()
        if maker is None or not has_trait(maker, _IN_ORDER):
            return None
        value = maker.inputs[0]
    return None if value is None else pins.activations[str(value.name)]
