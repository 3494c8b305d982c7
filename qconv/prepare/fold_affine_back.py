"""Fold an affine map into the layer before it: batch normalization, scales, biases.

    scale * (W x + b) + shift  =  (scale W) x + (scale b + shift)

1. The layer's output must have no other user: a second user, or the caller, needs it as it is.
2. The map must run along the layer's output channels (or be a scalar), as seen through nodes between that only move elements.
3. A MatMul has no bias: the shift stays behind as a single Add.
4. A product that float32 cannot hold is not folded.
5. What the layer makes must not have parameters that are given: it is rounded in front of the map.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.edit import Editor
from qconv.model.given import is_given
from qconv.model.graph import sole_consumer

from .affine import Affine, Chain, affine_chains
from .layers import Layer, layer_of
from .origin import channel_origin


def fold_affine_back(model: ir.Model) -> int:
    """Fold every affine chain that follows a layer into it; returns the number of nodes removed."""
    editor = Editor(model.graph)
    return sum(_fold(editor, chain) for chain in affine_chains(model.graph))


def _fold(editor: Editor, chain: Chain) -> int:
    affine = chain.affine
    made, axis = channel_origin(chain.source, affine.axis)
    layer = layer_of(made.producer())
    if layer is None or layer.node.graph is not editor.graph or sole_consumer(chain.source) is not chain.nodes[0]:
        return 0
    if is_given(chain.source) or is_given(made):
        return 0
    if axis not in (None, layer.axis_of(made)):
        return 0
    leaves_shift = layer.node.op_type == "MatMul" and affine.shifts
    if leaves_shift and (made is not chain.source or (not affine.scales and len(chain.nodes) == 1)):
        return 0
    weight = layer.scale_outputs(affine.scale) if affine.scales else None
    bias = _bias(layer, affine)
    if not np.isfinite(bias).all() or (weight is not None and not np.isfinite(weight).all()):
        return 0
    if weight is not None:
        editor.set_constant(layer.node, 1, weight, "weight")
    if leaves_shift:
        shift = editor.constant(f"{layer.node.name}/bias", bias)
        editor.rewrite(chain.nodes[-1], "Add", [chain.source, shift])
    else:
        if layer.bias is not None or affine.shifts:
            editor.set_constant(layer.node, 2, bias, "bias")
        editor.take_over(chain.target, chain.source)
    editor.remove_unread(chain.nodes[:-1])
    return len(chain.nodes)


def _bias(layer: Layer, affine: Affine) -> NDArray[np.float32]:
    """The new bias: scale b + shift, [Cout]."""
    bias = 0.0 if layer.bias is None else layer.bias.astype(np.float64)
    with np.errstate(over="ignore"):
        return np.broadcast_to(affine.scale * bias + affine.shift, (layer.channels,)).astype(np.float32)
