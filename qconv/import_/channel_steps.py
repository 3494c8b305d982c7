"""Activations with a step for each channel between a layer and depthwise layers, as one step between two factors.

    round(x / s_c)  =  round(x k_c / S)    with S = max s_c and k_c = S / s_c
    codes s_c       =  codes S / k_c

The layer in front takes k_c into the scales of its weight, whose codes stay, and so do depthwise layers behind with 1 / k_c
(Nagel et al. 2019, section 4.1). Any other reader sums over channels, and would need other codes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.edit import Editor
from qconv.model.graph import attr_int, const_array, is_float, sole_consumer
from qconv.model.traits import Trait, has_trait
from qconv.ops.forms import clamp_bounds, is_convolution
from qconv.quant.types import IntType

from .code_types import TYPES

_CHANNELS = 1  # the axis
_KEPT = ("output_dtype", "saturate")
_RELU = (0.0, math.inf)


@dataclass(frozen=True)
class _Steps:
    """The steps of channels, above zero and not all the same, and the zero point that all have."""

    steps: NDArray[np.float32]
    zero: NDArray[np.generic]
    int_type: IntType

    def cuts(self, bounds: tuple[float, float]) -> bool:
        """Whether codes of every channel end where these bounds do, or before."""
        low, high = (np.rint(bound / self.steps) + int(self.zero) for bound in bounds)
        return bool((low <= self.int_type.qmin).all() and (high >= self.int_type.qmax).all())


def even_channel_steps(model: ir.Model) -> int:
    """Rewrites all such pairs in place; returns their number."""
    editor = Editor(model.graph)
    return sum(_even(editor, node) for node in tuple(model.graph) if has_trait(node, Trait.QUANTIZES))


def _even(editor: Editor, node: ir.Node) -> bool:
    given, readers = _steps_of(node), list(node.outputs[0].consumers())
    if given is None or not readers or not all(_undoes(reader, given) for reader in readers):
        return False
    found = [_depthwise_behind(reader.outputs[0], len(given.steps)) for reader in readers]
    layers = [layer for some in found for layer in some or ()]
    clip = _needless_clip(node, given)
    front = _made_by_layer(clip or node)
    if front is None or not all(found) or node.outputs[0].is_graph_output():
        return False
    if clip is not None and clip.inputs[0] is not None:
        editor.bypass(clip.outputs[0], clip.inputs[0])
    largest = given.steps.max()
    factors = (largest / given.steps).reshape(-1, *(1,) * (len(_weight_shape(layers[0])) - 2))
    (first,) = front.uses()
    even = _product(editor, first.node, front, factors)
    first.node.replace_input_with(first.idx, even)
    even.name, front.name = front.name, even.name  # the layer will make it, under the name that a person knows
    for layer in layers:
        layer.replace_input_with(0, _product(editor, layer, layer.inputs[0], 1 / factors))
    for each in (node, *readers):
        step, zero = editor.constant(f"{each.name}/step", largest), editor.constant(f"{each.name}/zero", given.zero)
        kept = {name: attr_int(each, name, 0) for name in _KEPT if name in each.attributes}
        editor.rewrite(each, each.op_type, [each.inputs[0], step, zero], kept)
    return True


def _product(editor: Editor, user: ir.Node, value: ir.Value | None, factors: NDArray[np.float32]) -> ir.Value:
    """A value times a factor for each channel, in front of a node that reads it."""
    constant = editor.constant(f"{user.name}/factors", factors.astype(np.float32))
    shape = None if value is None else value.shape
    return editor.insert_before(user, "Mul", [value, constant], name=f"{user.name}/even", shape=shape)


def _steps_of(node: ir.Node) -> _Steps | None:
    """The parameters of a pair's node, where they are uneven."""
    scale, zero = (const_array(value) for value in (*node.inputs, None, None)[1:3])
    if scale is None or zero is None or scale.ndim != 1 or attr_int(node, "axis", 1) != _CHANNELS:
        return None
    int_type = TYPES.get(ir.DataType.from_numpy(zero.dtype))
    if int_type is None or np.unique(scale).size == 1 or np.unique(zero).size > 1 or not (scale > 0).all():
        return None
    return _Steps(np.asarray(scale, np.float32), np.asarray(zero.reshape(-1)[0]), int_type)


def _undoes(node: ir.Node, given: _Steps) -> bool:
    own = _steps_of(node) if has_trait(node, Trait.DEQUANTIZES) else None
    return own is not None and np.array_equal(own.steps, given.steps) and own.zero == given.zero


def _depthwise_behind(value: ir.Value, channels: int) -> list[ir.Node] | None:
    """The depthwise layers that a value ends in, through nodes that a factor passes; None where it has other readers."""
    found = list[ir.Node]()
    for reader, index in value.uses():
        if _is_depthwise(reader, channels) and index == 0:
            found.append(reader)
        elif (more := _depthwise_behind(reader.outputs[0], channels) if _follows(reader) and index == 0 else None) is not None:
            found += more
        else:
            return None
    return None if value.is_graph_output() or not found else found


def _is_depthwise(node: ir.Node, channels: int) -> bool:
    shape = _weight_shape(node) if is_convolution(node) else ()
    return len(shape) > 2 and attr_int(node, "group", 1) == channels and shape[1] == 1


def _follows(node: ir.Node) -> bool:
    """Whether a factor above zero passes through a node: f(k x) = k f(x)."""
    if has_trait(node, Trait.FILLS):
        fill = node.inputs[2] if len(node.inputs) > 2 else None
        array = const_array(fill)
        return has_trait(node, Trait.FOLLOWS) and (fill is None or (array is not None and not array.any()))
    return has_trait(node, Trait.FOLLOWS) and clamp_bounds(node) in (None, _RELU)


def _weight_shape(node: ir.Node) -> Sequence[int]:
    """That of a constant, or of one whose codes a node makes reals of."""
    weight = node.inputs[1]
    maker = None if weight is None else weight.producer()
    codes = maker.inputs[0] if maker is not None and has_trait(maker, Trait.DEQUANTIZES | Trait.QUANTIZES) else weight
    array = const_array(codes)
    return () if array is None else array.shape


def _needless_clip(node: ir.Node, given: _Steps) -> ir.Node | None:
    """The Clip in front of a quantizer, where codes end no later than its bounds do."""
    x = node.inputs[0]
    maker = None if x is None or sole_consumer(x) is not node else x.producer()
    bounds = None if maker is None else clamp_bounds(maker)
    return maker if bounds is not None and bounds != _RELU and given.cuts(bounds) else None


def _made_by_layer(user: ir.Node) -> ir.Value | None:
    """What a layer makes for a node alone, through nodes that a factor passes."""
    value = user.inputs[0]
    maker = None if value is None or not is_float(value) or sole_consumer(value) is not user else value.producer()
    if maker is None or is_convolution(maker) or has_trait(maker, Trait.NORMALIZES):
        return None if maker is None else value
    return _made_by_layer(maker) if _follows(maker) else None
