"""MatMulInteger and ConvInteger of codes that a DynamicQuantizeLinear makes, as float products with the weight's reals.

DynamicQuantizeLinear(x) -> y, s, z      Cast(MatMulInteger(y, w, z, zw)) * (s * sw)  =  x (sw (w - zw))
                                         DequantizeLinear(y, s, z)                    =  x
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.edit import Editor
from qconv.model.graph import const_array, sole_consumer

_FLOAT_OPS = {"MatMulInteger": "MatMul", "ConvInteger": "Conv"}


def take_products_apart(model: ir.Model) -> int:
    """Replaces every such product; returns their number."""
    editor = Editor(model.graph)
    for node in tuple(model.graph):
        _undo(node)
    count = sum(_take_apart(editor, node) for node in tuple(model.graph))
    for node in reversed(tuple(model.graph)):
        if node.op_type == "DynamicQuantizeLinear" and not any(v.uses() or v.is_graph_output() for v in node.outputs):
            model.graph.remove(node, safe=True)
    return count


def _undo(node: ir.Node) -> None:
    """Takes out a DequantizeLinear of what a DynamicQuantizeLinear gives."""
    maker = node.inputs[0].producer() if node.inputs and node.inputs[0] is not None else None
    if node.op_type != "DequantizeLinear" or maker is None or maker.op_type != "DynamicQuantizeLinear":
        return
    output, x = node.outputs[0], maker.inputs[0]
    if tuple(node.inputs) == tuple(maker.outputs) and x is not None and not output.is_graph_output():
        output.replace_all_uses_with(x)
        assert node.graph is not None
        node.graph.remove(node, safe=True)


def _take_apart(editor: Editor, node: ir.Node) -> int:
    if node.op_type not in _FLOAT_OPS:
        return 0
    maker = node.inputs[0].producer() if node.inputs[0] is not None else None
    weight, cast = const_array(node.inputs[1]), sole_consumer(node.outputs[0])
    if maker is None or maker.op_type != "DynamicQuantizeLinear" or weight is None or cast is None or cast.op_type != "Cast":
        return 0
    product = sole_consumer(cast.outputs[0])
    if product is None or product.op_type != "Mul":
        return 0
    factor = product.inputs[1] if product.inputs[0] is cast.outputs[0] else product.inputs[0]
    scale = _weight_scale(factor, maker.outputs[1])
    if scale is None:
        return 0
    zero = const_array(node.inputs[3]) if len(node.inputs) > 3 else None
    shifted = weight.astype(np.float64) - (0 if zero is None else zero.astype(np.float64))
    along = [1] * weight.ndim
    along[0 if node.op_type == "ConvInteger" else -1] = -1
    reals = (shifted * (scale if scale.size == 1 else scale.reshape(along))).astype(np.float32)
    attributes = dict(node.attributes)
    editor.rewrite(product, _FLOAT_OPS[node.op_type], [maker.inputs[0], editor.constant(f"{node.name}/weight", reals)])
    for attribute in attributes.values():
        product.attributes[attribute.name] = attribute
    for dead in (cast, node):
        editor.graph.remove(dead, safe=True)
    return 1


def _weight_scale(factor: ir.Value | None, dynamic: ir.Value) -> NDArray[np.float64] | None:
    """The weight's scale where a factor is its product with the scale of the activation."""
    maker = None if factor is None else factor.producer()
    if maker is None or maker.op_type != "Mul" or dynamic not in maker.inputs:
        return None
    array = const_array(maker.inputs[1] if maker.inputs[0] is dynamic else maker.inputs[0])
    return None if array is None else array.astype(np.float64)
