"""Fold an affine map into the layer after it, where nothing before it can take it.

    W (scale * x + shift) + b  =  (W scale) x + (W shift + b)

1. The layer must be the only user of the map.
2. A convolution that sees padding takes a map only if shift is 0, since its zeros stand for 0 and not for shift. In a
   ConvTranspose the number of taps differs at the borders: again only shift 0.
3. A MatMul takes the scale only, as it has no bias.
4. What the map makes must not have parameters that are given, for then the layer's weight is one for that, and may be
   given too.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.model.edit import Editor
from qconv.model.given import is_given
from qconv.model.graph import sole_consumer

from .affine import Chain, affine_chains
from .layers import Layer, layer_of


def fold_affine_forward(model: ir.Model) -> int:
    """Fold every affine chain that precedes a layer into it; returns the number of nodes removed."""
    editor = Editor(model.graph)
    return sum(_fold(editor, chain) for chain in affine_chains(model.graph))


def _fold(editor: Editor, chain: Chain) -> int:
    layer, affine = layer_of(sole_consumer(chain.target)), chain.affine
    if layer is None or not _can_take(layer, chain):
        return 0
    if affine.shifts:
        bias = layer.response(affine.shift) + (0.0 if layer.bias is None else layer.bias.astype(np.float64))
        editor.set_constant(layer.node, 2, bias.astype(np.float32), "bias")
    if affine.scales:
        editor.set_constant(layer.node, 1, layer.scale_inputs(affine.scale), "weight")
    editor.bypass(chain.target, chain.source)
    editor.remove_unread(chain.nodes[:-1])
    return len(chain.nodes)


def _can_take(layer: Layer, chain: Chain) -> bool:
    node, x = layer.node, chain.target
    if (
        is_given(x)
        or node.inputs[0] is not x
        or node.graph is not chain.nodes[0].graph
        or chain.affine.axis not in (None, layer.axis_of(x))
    ):
        return False
    if not chain.affine.shifts:
        return True
    return node.op_type == "Gemm" or (node.op_type == "Conv" and not layer.is_padded())
