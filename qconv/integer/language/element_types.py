"""The element type of every value of a graph, inferred where the file does not say it.

onnxruntime writes no types for the values that its optimizer makes, and onnx's shape inference knows no com.microsoft operator.
"""

from __future__ import annotations

import onnx_ir as ir

from qconv.integer.language.operands import layout_of

_FIXED = {
    **dict.fromkeys(["Shape", "Size", "ArgMax", "ArgMin", "NonZero"], ir.DataType.INT64),
    **dict.fromkeys(["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "And", "Or", "Xor"], ir.DataType.BOOL),
    **dict.fromkeys(["IsNaN", "IsInf"], ir.DataType.BOOL),
    **dict.fromkeys(["MatMulInteger", "ConvInteger", "MatMulInteger16"], ir.DataType.INT32),
    **dict.fromkeys(["QGemm"], ir.DataType.FLOAT),  # one without an output scale; the others have a layout
}
_FROM_ATTRIBUTE = {
    "Cast": "to",
    "QuantizeLinear": "output_dtype",
    "RandomNormal": "dtype",
    "RandomUniform": "dtype",
    "EyeLike": "dtype",
}


def element_type(value: ir.Value, known: dict[ir.Value, ir.DataType | None]) -> ir.DataType | None:
    """The element type of `value`, None where it cannot be told; `known` is filled on the way and may be shared."""
    if value not in known:
        known[value] = None  # stops a malformed cycle
        known[value] = value.dtype if value.dtype is not None else _inferred(value, known)
    return known[value]


def _inferred(value: ir.Value, known: dict[ir.Value, ir.DataType | None]) -> ir.DataType | None:
    if value.const_value is not None:
        return value.const_value.dtype
    node = value.producer()
    if node is None:
        return None
    source = _source(node, node.outputs.index(value))
    if isinstance(source, ir.Value):
        return element_type(source, known)
    return source


def _source(node: ir.Node, output: int) -> ir.DataType | ir.Value | None:
    """The type of an output, or the value that has the same type."""
    layout = layout_of(node)
    if layout is not None:
        return _input(node, layout.writes.zero_point) or _input(node, layout.reads[0].tensor or 0)
    if node.op_type in _FIXED:
        return _FIXED[node.op_type]
    if node.op_type == "QuantizeLinear" and (zero_point := _input(node, 2)) is not None:
        return zero_point
    if node.op_type in _FROM_ATTRIBUTE and (code := node.attributes.get_int(_FROM_ATTRIBUTE[node.op_type], 0)):
        return ir.DataType(code)
    match node.op_type:
        case "QuantizeLinear":
            return ir.DataType.UINT8
        case "DequantizeLinear" | "Where":
            return _input(node, 1)
        case "ConstantOfShape":
            value = node.attributes.get_tensor("value", None)
            return ir.DataType.FLOAT if value is None else value.dtype
        case "If" | "Loop" | "Scan":
            return _from_subgraph(node, output)
        case "TopK" | "MaxPool" | "Unique" if output > 0:
            return ir.DataType.INT64
        case "OneHot":
            return _input(node, 2)
        case _:
            return next((value for value in node.inputs if value is not None), None)


def _from_subgraph(node: ir.Node, output: int) -> ir.Value | None:
    body = node.attributes.get("then_branch") or node.attributes.get("body")
    if body is None:
        return None
    outputs = body.as_graph().outputs
    index = output + 1 if node.op_type == "Loop" else output  # a Loop's body gives its condition first
    return outputs[index] if index < len(outputs) else None


def _input(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if index < len(node.inputs) else None
