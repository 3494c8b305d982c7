"""Fold an affine map into the layer before it: batch normalization, scales, biases.

    scale * (W x + b) + shift  =  (scale W) x + (scale b + shift)

1. The layer's output must have no other user: a second user, or the caller, needs it as it is.
2. The map must run along the layer's output channels (or be a scalar), as seen through nodes between that only move elements.
3. A MatMul has no bias: the shift stays behind as a single Add.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.model.graph import sole_consumer

from .affine import Chain, affine_chains
from .edit import Editor
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
    if axis not in (None, layer.axis_of(made)):
        return 0
    if layer.node.op_type == "MatMul" and affine.shifts:
        return _leave_shift(editor, layer, chain) if made is chain.source else 0
    _scale_weight(editor, layer, chain)
    if layer.bias is not None or affine.shifts:
        bias = 0.0 if layer.bias is None else layer.bias.astype(np.float64)
        folded = np.broadcast_to(affine.scale * bias + affine.shift, (layer.channels,))
        editor.set_constant(layer.node, 2, folded.astype(np.float32), "bias")
    editor.take_over(chain.target, chain.source)
    editor.remove_unread(chain.nodes[:-1])
    return len(chain.nodes)


def _leave_shift(editor: Editor, layer: Layer, chain: Chain) -> int:
    """Scale the weight of a MatMul; the last node becomes the Add of the shift."""
    if not chain.affine.scales and len(chain.nodes) == 1:
        return 0
    _scale_weight(editor, layer, chain)
    shift = np.broadcast_to(chain.affine.shift, (layer.channels,)).astype(np.float32)
    bias = editor.constant(f"{layer.node.name}/bias", shift)
    editor.rewrite(chain.nodes[-1], "Add", [chain.source, bias])
    editor.remove_unread(chain.nodes[:-1])
    return len(chain.nodes)


def _scale_weight(editor: Editor, layer: Layer, chain: Chain) -> None:
    if chain.affine.scales:
        editor.set_constant(layer.node, 1, layer.scale_outputs(chain.affine.scale), "weight")
