"""Operators on codes, as QLinearConv, written as DequantizeLinear, the float operator and QuantizeLinear."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.errors import ModelError
from qconv.integer.language.operands import Layout, Triple, layout_of, weight_axis
from qconv.model.edit import Editor
from qconv.model.graph import attr_int, attr_ints, const_array

_FLOAT_OPS = {
    "QLinearConv": "Conv",
    "QLinearMatMul": "MatMul",
    "QGemm": "Gemm",
    "QLinearAdd": "Add",
    "QLinearMul": "Mul",
    "QLinearConcat": "Concat",
    "QLinearWhere": "Where",
    "QLinearAveragePool": "AveragePool",
    "QLinearGlobalAveragePool": "GlobalAveragePool",
    "QLinearLeakyRelu": "LeakyRelu",
    "QLinearSigmoid": "Sigmoid",
    "QLinearSoftmax": "Softmax",
}
_DROPPED = ("channels_last", "opset")


def unfuse_operators(model: ir.Model) -> int:
    """Takes apart every operator on codes; returns their number. Raises ModelError for a layout with channels last."""
    editor = Editor(model.graph)
    return sum(_unfuse(editor, node) for node in tuple(model.graph))


def _unfuse(editor: Editor, node: ir.Node) -> int:
    layout = layout_of(node)
    if layout is None or node.op_type not in _FLOAT_OPS:
        return 0
    if _is_product(node):
        return _unfuse_product(editor, node, layout)
    if attr_int(node, "channels_last", 0):
        raise ModelError(
            f"node {node.name} ({node.op_type}) has its channels last; give the model before onnxruntime optimized it"
        )
    inputs = [node.inputs[0]] if node.op_type == "QLinearWhere" else list[ir.Value | None]()
    for place, triple in enumerate(layout.reads):
        inputs.append(_dequantized(editor, node, triple, place, weight_axis(node) if place == 1 else None))
    bias = node.inputs[layout.bias] if layout.bias is not None and layout.bias < len(node.inputs) else None
    if bias is not None:
        inputs.append(_bias(editor, node, bias, layout.reads))
    scale, zero_point = node.inputs[layout.writes.scale], node.inputs[layout.writes.zero_point]
    attributes = {a.name: a for a in node.attributes.values() if a.name not in _DROPPED}
    output = node.outputs[0]
    name = str(node.name)
    real = editor.insert_before(node, _FLOAT_OPS[node.op_type], inputs, name=f"{name}/real", shape=output.shape, main=True)
    maker = real.producer()
    assert maker is not None
    for attribute in attributes.values():
        maker.attributes[attribute.name] = attribute
    node.domain = ""
    editor.rewrite(node, "QuantizeLinear", [real, scale, zero_point])
    return 1


def _is_product(node: ir.Node) -> bool:
    """Whether a convolution of channels last has one place, as tuning writes products of rows."""
    weight = const_array(node.inputs[3]) if node.op_type == "QLinearConv" and attr_int(node, "channels_last", 0) else None
    group, strides = attr_int(node, "group", 1), attr_ints(node, "strides", [1])
    return weight is not None and group == 1 and set(strides) == {1} and weight.size == weight.shape[0] * weight.shape[1]


def _unfuse_product(editor: Editor, node: ir.Node, layout: Layout) -> int:
    """Writes a convolution of one place and channels last as a Gemm of rows, between Reshapes."""
    weight, output, name = const_array(node.inputs[3]), node.outputs[0], str(node.name)
    assert weight is not None and layout.bias is not None
    matrix = np.ascontiguousarray(weight.reshape(len(weight), -1).T)
    inner, columns = matrix.shape
    node.replace_input_with(3, editor.constant(f"{name}/matrix", matrix))
    x, w = (_dequantized(editor, node, triple, place, place) for place, triple in enumerate(layout.reads))
    target = editor.constant(f"{name}/rows_shape", np.asarray([-1, inner], np.int64))
    rows = editor.insert_before(node, "Reshape", [x, target], name=f"{name}/rows", shape=ir.Shape([None, inner]))
    bias = node.inputs[layout.bias] if layout.bias < len(node.inputs) else None
    operands = [rows, w] if bias is None else [rows, w, _bias(editor, node, bias, layout.reads)]
    product = editor.insert_before(node, "Gemm", operands, name=f"{name}/real", shape=ir.Shape([None, columns]), main=True)
    shape = _shape_like(editor, node, x, columns)
    real = editor.insert_before(node, "Reshape", [product, shape], name=f"{name}/back", shape=output.shape)
    scale, zero_point = node.inputs[layout.writes.scale], node.inputs[layout.writes.zero_point]
    node.domain = ""
    editor.rewrite(node, "QuantizeLinear", [real, scale, zero_point])
    return 1


def _shape_like(editor: Editor, node: ir.Node, x: ir.Value, columns: int) -> ir.Value:
    """The shape of x with another number of columns: a constant where one size at most is not known."""
    sizes = [-1, -1] if x.shape is None else [size if isinstance(size, int) else -1 for size in x.shape[:-1]]
    name, whole = str(node.name), ir.DataType.INT64
    if sizes.count(-1) <= 1:
        return editor.constant(f"{name}/shape", np.asarray([*sizes, columns], np.int64))
    span, last = {"start": 0, "end": -1}, editor.constant(f"{name}/columns", np.asarray([columns], np.int64))
    leading = editor.insert_before(node, "Shape", [x], span, name=f"{name}/leading", dtype=whole)
    return editor.insert_before(node, "Concat", [leading, last], {"axis": 0}, name=f"{name}/sizes", dtype=whole)


def _dequantized(editor: Editor, node: ir.Node, triple: Triple, place: int, axis: int | None) -> ir.Value:
    """The reals of one operand."""
    assert triple.tensor is not None
    value, scale = node.inputs[triple.tensor], node.inputs[triple.scale]
    inputs = [value, scale, node.inputs[triple.zero_point]]
    array = const_array(scale)
    attributes = {}
    if axis is not None and array is not None and array.size > 1 and value is not None and value.shape is not None:
        attributes["axis"] = axis % len(value.shape)
        inputs = [None if v is None else _by_channel(editor, node, v, array.size, place) for v in inputs[1:]]
        inputs.insert(0, value)
    shape = None if value is None else value.shape
    return editor.insert_before(node, "DequantizeLinear", inputs, attributes, name=f"{node.name}/operand{place}", shape=shape)


def _by_channel(editor: Editor, node: ir.Node, value: ir.Value, channels: int, place: int) -> ir.Value:
    """A scale or zero point as a vector [channels]: QLinearConv takes one zero point beside many scales, the pair does not."""
    array = const_array(value)
    if array is None or array.shape == (channels,):
        return value
    return editor.constant(f"{node.name}/parameters{place}", np.broadcast_to(array.reshape(-1), (channels,)).copy())


def _bias(editor: Editor, node: ir.Node, bias: ir.Value, reads: tuple[Triple, ...]) -> ir.Value:
    """The reals of an int32 bias, whose scale is the product of those of the operands: a DequantizeLinear of its codes."""
    codes, *scales = (const_array(v) for v in (bias, *(node.inputs[triple.scale] for triple in reads)))
    if codes is None or any(scale is None for scale in scales):
        raise ModelError(f"node {node.name} ({node.op_type}) computes its bias or its scales at run time; make them constants")
    product = np.ones(1)
    for scale in scales:
        assert scale is not None
        product = product * scale.reshape(-1).astype(np.float64)
    scale = product.astype(np.float32).reshape(() if product.size == 1 else (-1,))
    inputs = [bias, editor.constant(f"{node.name}/bias_scale", scale)]
    inputs.append(editor.constant(f"{node.name}/bias_zero_point", np.zeros(scale.shape, np.int32)))
    attributes = {} if product.size == 1 else {"axis": 0}
    return editor.insert_before(node, "DequantizeLinear", inputs, attributes, name=f"{node.name}/bias", shape=bias.shape)
