"""Keeps onnxruntime from quantizing a layer that shall stay in float.

Between a DequantizeLinear and a QuantizeLinear, onnxruntime's WeightBiasQuantization gives the float weights of a lone layer
codes with one scale for all channels, whatever was asked for. A LeakyRelu of slope 1 between the layer and what follows is no
such pattern, computes nothing, and is fused into the layer again when that is over, so that it costs no time.
"""

from __future__ import annotations

import onnx_ir as ir

from qconv.model.graph import const_array
from qconv.model.names import Names

_LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_REMOVABLE = ("Relu", "Clip")  # onnxruntime takes these away where the range of the codes implies them


def keep_float_layers(graph: ir.Graph, names: Names) -> int:
    """Protects every float layer between codes; returns their number."""
    layers = [node for node in graph if _is_lone(node)]
    for node in layers:
        output = node.outputs[0]
        kept = ir.Value(name=names.fresh(f"{output.name}_kept"), type=output.type, shape=output.shape)
        readers = [(use.node, use.idx) for use in output.uses()]
        attributes = [ir.AttrFloat32("alpha", 1.0)]
        guard = ir.Node("", "LeakyRelu", [output], attributes, outputs=[kept], name=names.fresh_node(f"{node.name}/keep_float"))
        graph.insert_after(node, guard)
        for reader, index in readers:
            reader.replace_input_with(index, kept)
    return len(layers)


def _is_lone(node: ir.Node) -> bool:
    """Whether a float layer of constant weights reads reals of codes and is quantized again behind it."""
    if node.op_type not in _LAYERS or node.domain not in ("", "ai.onnx") or const_array(node.inputs[1]) is None:
        return False
    maker = node.inputs[0].producer() if node.inputs[0] is not None else None
    return maker is not None and maker.op_type == "DequantizeLinear" and _is_quantized(node.outputs[0])


def _is_quantized(value: ir.Value) -> bool:
    return any(
        user.op_type == "QuantizeLinear" or (user.op_type in _REMOVABLE and _is_quantized(user.outputs[0]))
        for user in value.consumers()
    )
