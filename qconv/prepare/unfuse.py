"""Take apart what onnxruntime's optimizer has fused, in models that it saved.

FusedConv(x, w, b, z)  = activation(Conv(x, w, b) + z)
FusedGemm(a, b, c)     = activation(Gemm(a, b, c))
Gelu of com.microsoft  = Gelu of onnx
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.model.edit import Attribute, Editor
from qconv.model.formula import Steps
from qconv.model.graph import attr_float, attr_str

from .contrib import write_contrib
from .contrib_attention import write_attention, write_embedding, write_multi_head, write_rotary

_MS = "com.microsoft"
_PARAMETERS = {"LeakyRelu": ("alpha",), "HardSigmoid": ("alpha", "beta"), "Elu": ("alpha",)}


def unfuse(model: ir.Model) -> int:
    """Write fused layers as the standard ops that they are; returns their number."""
    editor = Editor(model.graph)
    return sum(_take_apart(editor, node) for node in tuple(model.graph) if node.domain == _MS)


def _take_apart(editor: Editor, node: ir.Node) -> int:
    match node.op_type:
        case "Gelu":
            node.domain = ""
            editor.rewrite(node, "Gelu", list(node.inputs))
        case (
            "QuickGelu" | "FastGelu" | "BiasGelu" | "FusedMatMul" | "SkipLayerNormalization" | "SkipSimplifiedLayerNormalization"
        ):
            return write_contrib(editor, node)
        case "Attention":
            return write_attention(node, Steps(editor, node))
        case "MultiHeadAttention":
            return write_multi_head(node, Steps(editor, node))
        case "RotaryEmbedding":
            return write_rotary(node, Steps(editor, node))
        case "EmbedLayerNormalization":
            return write_embedding(node, Steps(editor, node))
        case "FusedConv" | "FusedGemm":
            _write_layer(editor, node)
        case _:
            return 0
    return 1


def _write_layer(editor: Editor, node: ir.Node) -> None:
    """The layer before the node, which becomes the activation."""
    added = node.inputs[3] if node.op_type == "FusedConv" and len(node.inputs) > 3 else None
    activation, numbers = attr_str(node, "activation", ""), _numbers(node)
    kept = [a for a in node.attributes.values() if not a.name.startswith("activation")]
    shape, name = node.outputs[0].shape, str(node.name)
    layer_inputs = list(node.inputs[:3])
    value = editor.insert_before(
        node, node.op_type.removeprefix("Fused"), layer_inputs, name=f"{name}/layer", shape=shape, main=True
    )
    maker = value.producer()
    assert maker is not None
    for attribute in kept:
        maker.attributes.add(attribute)
    if added is not None:
        value = editor.insert_before(node, "Add", [value, added], name=f"{name}/sum", shape=shape)
    node.domain = ""
    if activation == "Clip":
        bounds = [editor.constant(f"{name}/bound{n}", np.asarray(number, np.float32)) for n, number in enumerate(numbers)]
        editor.rewrite(node, "Clip", [value, *bounds])
        return
    attributes: dict[str, Attribute] = dict(zip(_PARAMETERS.get(activation, ()), numbers, strict=False))
    editor.rewrite(node, activation or "Identity", [value], attributes)


def _numbers(node: ir.Node) -> list[float]:
    """The parameters of the activation, in the order of its attributes."""
    given = node.attributes.get("activation_params")
    if given is not None:
        return list(given.as_floats())
    names = [name for name in ("activation_alpha", "activation_beta") if name in node.attributes]
    return [attr_float(node, name, 0.0) for name in names]
