"""Activations that get their scale at run time: DynamicQuantizeLinear, MatMulInteger, and one product in float.

    q, S, Z = DynamicQuantizeLinear(x)        y = float(sum of (q - Z) w_q) * (S * S_w) + b

Codes and sums are integers and exact; scales, what is between layers, and the bias are float. onnxruntime joins the nodes of a
layer into one.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.config import QuantConfig
from qconv.model.edit import Editor
from qconv.model.graph import attr_int, const_array
from qconv.model.spell_norms import spell_norms
from qconv.modes.places import Rewritten, places
from qconv.modes.weight_only import MICROSOFT, rewrite_table, rewritten
from qconv.ops.forms import bias_of
from qconv.plan.weights import safe_for, weight_codes, weight_params

_CONVOLUTION = "ConvInteger takes two to four times as long as a float convolution in onnxruntime"
_TABLE_BITS, _TABLE_BLOCK = 8, 128


def to_dynamic(model: ir.Model, config: QuantConfig) -> Rewritten:
    """Rewrites a prepared model in place; no samples are needed. Raises UsageError where there is nothing to do."""
    editor, graph = Editor(model.graph), model.graph
    found = places(graph, config.excluded, _CONVOLUTION)
    codes: dict[ir.Value, tuple[ir.Value, ir.Value, ir.Value]] = {}
    for node in found.layers:
        x = node.inputs[0]
        assert x is not None
        if x not in codes:
            codes[x] = _quantized(editor, node, x)
        _rewrite(editor, node, codes[x], config)
    for node in found.tables:
        rewrite_table(editor, node, _TABLE_BITS, _TABLE_BLOCK)
    if found.tables:
        model.opset_imports[MICROSOFT] = 1
    spell_norms(graph)
    return rewritten(found)


def _quantized(editor: Editor, node: ir.Node, x: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
    """The codes of x, its scale and its zero point."""
    name = f"{x.name}/quantize"
    codes = editor.insert_before(node, "DynamicQuantizeLinear", [x], name=name, shape=x.shape, dtype=ir.DataType.UINT8)
    maker = codes.producer()
    assert maker is not None
    maker.resize_outputs(3)
    types = (("scale", ir.DataType.FLOAT), ("zero_point", ir.DataType.UINT8))
    for value, (word, dtype) in zip(maker.outputs[1:], types, strict=True):
        value.name, value.type, value.shape = f"{codes.name}_{word}", ir.TensorType(dtype), ir.Shape([])
    return codes, maker.outputs[1], maker.outputs[2]


def _rewrite(editor: Editor, node: ir.Node, x: tuple[ir.Value, ir.Value, ir.Value], config: QuantConfig) -> None:
    weight, bias, name = const_array(node.inputs[1]), bias_of(node), str(node.name)
    assert weight is not None
    params = safe_for(node, weight, weight_params(node, weight, config), config)
    w_codes = weight_codes(node, weight, params, config)
    matrix = np.ascontiguousarray(w_codes.T if attr_int(node, "transB", 0) else w_codes)
    shape = node.outputs[0].shape
    codes, scale, zero_point = x
    inputs = [codes, editor.constant(f"{name}/codes", matrix), zero_point]
    sums = editor.insert_before(node, "MatMulInteger", inputs, name=f"{name}/sum", shape=shape, dtype=ir.DataType.INT32)
    reals = editor.insert_before(node, "Cast", [sums], {"to": int(ir.DataType.FLOAT)}, name=f"{name}/cast", shape=shape)
    w_scale = editor.constant(f"{name}/scale", params.scale)
    both = editor.insert_before(node, "Mul", [scale, w_scale], name=f"{name}/scales", shape=w_scale.shape)
    if bias is None:
        editor.rewrite(node, "Mul", [reals, both])
        return
    product = editor.insert_before(node, "Mul", [reals, both], name=f"{name}/product", shape=shape)
    editor.rewrite(node, "Add", [product, editor.constant(f"{name}/bias", bias.astype(np.float32))])
