"""Weights in codes of 2, 4 or 8 bits, activations in float: MatMulNBits of onnxruntime's com.microsoft domain.

Kernels read each block of codes, multiply it by its scale and add it up: nothing is integer between the layers. Tables of
embeddings become GatherBlockQuantized, which gives exactly the reals that the codes stand for.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.config import QuantConfig
from qconv.errors import UsageError
from qconv.model.edit import Editor
from qconv.model.graph import const_array
from qconv.model.spell_norms import spell_norms
from qconv.modes.places import Places, Rewritten, places
from qconv.ops.forms import bias_of
from qconv.plan.policy import weight_scheme
from qconv.quant.types import FloatArray, IntArray
from qconv.recover.blocks import Blocks, nearest_blocks, rounded_blocks
from qconv.recover.layers import Layer
from qconv.statistics.second_moments import SecondMoments

MICROSOFT = "com.microsoft"
BITS = (2, 4, 8)
# With 8 and 2 bits, the kernel that multiplies in float32 takes 3 to 20 times as long as a float layer. This one rounds blocks
# of what the layer reads to int8, which leaves 45 dB.
_INT8 = {8: {"accuracy_level": 4}, 2: {"accuracy_level": 4}}
_CONVOLUTION = "onnxruntime has no convolution whose weights alone are codes"


def to_weight_only(model: ir.Model, config: QuantConfig, moments: Mapping[str, SecondMoments]) -> Rewritten:
    """Rewrites a prepared model in place. `moments` are those of the float network, by what a layer sees; layers without any
    get their nearest codes. Raises UsageError for bits that the kernel has not, and where there is nothing to do.
    """
    editor, graph = Editor(model.graph), model.graph
    found = places(graph, config.excluded, _CONVOLUTION)
    wanted = {node: _bits(node, config) for node in (*found.layers, *found.tables)}
    fitted = 0
    for node, layer in found.layers.items():
        fitted += _rewrite_layer(editor, node, layer, wanted[node], config.group, moments.get(layer.sight))
    for node in found.tables:
        rewrite_table(editor, node, wanted[node], config.group)
    model.opset_imports[MICROSOFT] = 1
    spell_norms(graph)
    return rewritten(found, fitted)


def rewritten(found: Places, fitted: int = 0) -> Rewritten:
    """What was done in some places, of which so many layers have fitted weights."""
    layers, tables = (tuple(str(node.name) for node in nodes) for nodes in (found.layers, found.tables))
    return Rewritten(layers, tables, found.float_nodes, fitted)


def rewrite_table(editor: Editor, node: ir.Node, bits: int, block: int) -> None:
    """Turns a look-up in a table into one in codes."""
    table = const_array(node.inputs[0])
    assert table is not None
    blocks = nearest_blocks(table.T, bits, block)
    data = editor.constant(f"{node.name}/codes", packed(blocks.codes.T, bits))
    scales = editor.constant(f"{node.name}/scales", np.ascontiguousarray(blocks.scales.T))
    attributes = {"bits": bits, "block_size": block, "gather_axis": 0, "quantize_axis": 1}
    editor.rewrite(node, "GatherBlockQuantized", [data, node.inputs[1], scales], attributes)
    node.domain = MICROSOFT


def packed(codes: IntArray, bits: int) -> NDArray[np.uint8]:
    """Codes [..., K] plus 2^(bits-1) as bytes [..., K * bits / 8], the first code in the lowest bits. K fills whole bytes."""
    per_byte = 8 // bits
    raised = (codes.astype(np.int16) + 2 ** (bits - 1)).astype(np.uint8)
    parts = raised.reshape(*raised.shape[:-1], -1, per_byte) << (bits * np.arange(per_byte, dtype=np.uint8))
    return np.asarray(np.bitwise_or.reduce(parts, axis=-1), np.uint8)


def _rewrite_layer(editor: Editor, node: ir.Node, layer: Layer, bits: int, block: int, moments: SecondMoments | None) -> bool:
    """Turns a layer into MatMulNBits; whether its codes are fitted to moments."""
    array, bias = const_array(node.inputs[1]), bias_of(node)
    assert array is not None
    weight: FloatArray = layer.weights(array)[0]
    if moments is None or not moments.count:
        blocks, shift = nearest_blocks(weight, bits, block), None
    else:
        blocks, shift = _fitted(weight, moments, bits, block, centred=bias is not None)
    codes = np.pad(blocks.codes, ((0, -len(weight) % block), (0, 0)))  # what has no weight gets the code of zero
    data = packed(np.ascontiguousarray(codes.T), bits).reshape(layer.outputs, -1, block * bits // 8)
    inputs = [node.inputs[0], editor.constant(f"{node.name}/codes", data)]
    inputs.append(editor.constant(f"{node.name}/scales", np.ascontiguousarray(blocks.scales.T)))
    if bias is not None:
        whole = np.broadcast_to(bias, layer.outputs) + (0.0 if shift is None else shift)
        inputs += [None, None, editor.constant(f"{node.name}/bias", whole.astype(np.float32))]
    attributes = {"K": layer.columns, "N": layer.outputs, "bits": bits, "block_size": block, **_INT8.get(bits, {})}
    editor.rewrite(node, "MatMulNBits", inputs, attributes)
    node.domain = MICROSOFT
    return shift is not None


def _fitted(
    weight: FloatArray, moments: SecondMoments, bits: int, block: int, *, centred: bool
) -> tuple[Blocks, NDArray[np.float64]]:
    """Codes of least error over the samples of the moments, and what the bias has to take over."""
    mean, square = moments.mean[0], moments.square[0]
    hessian = square - np.outer(mean, mean) if centred else square
    blocks = rounded_blocks(weight, hessian, bits, block)
    return blocks, mean @ (weight.astype(np.float64) - blocks.reals)


def _bits(node: ir.Node, config: QuantConfig) -> int:
    bits = weight_scheme(node, config).int_type.bits
    if bits not in BITS:
        raise UsageError(f"mode weight-only has weights of 2, 4 or 8 bits, not {bits}; give one of them with --weight-bits")
    return bits
