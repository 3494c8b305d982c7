"""QAttention of com.microsoft: its operands as reals, and the Attention that it computes of them.

QAttention(x, W, b, s_x, s_W, mask, z_x, z_W, past)  =  Attention(s_x (x - z_x), s_W (W - z_W), b, mask, past)
"""

from __future__ import annotations

import onnx_ir as ir

from qconv.model.edit import Editor
from qconv.model.graph import const_array

_X, _WEIGHT, _BIAS, _X_SCALE, _WEIGHT_SCALE, _MASK, _X_ZERO, _WEIGHT_ZERO, _PAST = range(9)


def is_attention_of_codes(node: ir.Node) -> bool:
    """Whether a node is one of them."""
    return node.op_type == "QAttention"


def take_attention_apart(model: ir.Model) -> int:
    """Writes each of them as operators on reals; returns their number."""
    editor = Editor(model.graph)
    nodes = [node for node in model.graph if is_attention_of_codes(node)]
    for node in nodes:
        _take_apart(editor, node)
    return len(nodes)


def _take_apart(editor: Editor, node: ir.Node) -> None:
    inputs = [*node.inputs, *[None] * (_PAST + 1)][: _PAST + 1]
    reals = []
    for name, place, scale, zero in (("x", _X, _X_SCALE, _X_ZERO), ("weight", _WEIGHT, _WEIGHT_SCALE, _WEIGHT_ZERO)):
        codes, steps = inputs[place], const_array(inputs[scale])
        maker = None if codes is None else codes.producer()
        if maker is not None and maker.op_type == "DynamicQuantizeLinear":
            reals.append(maker.inputs[0])
            continue
        attributes = {"axis": 1} if steps is not None and steps.size > 1 else {}
        operands = [codes, inputs[scale], *([inputs[zero]] if inputs[zero] is not None else [])]
        shape = None if codes is None else codes.shape
        wish = f"{node.name}/{name}"
        reals.append(editor.insert_before(node, "DequantizeLinear", operands, attributes, name=wish, shape=shape))
    operands = [*reals, inputs[_BIAS], inputs[_MASK], inputs[_PAST]]
    while operands[-1] is None:
        operands.pop()
    kept = tuple(node.attributes.values())
    editor.rewrite(node, "Attention", operands)
    for attribute in kept:
        node.attributes[attribute.name] = attribute
