"""The language of an integer graph, as data: which operators, on which element types, with which parameters.

    check(model)   what in a graph is not of this language: one sentence for each violation, none for a graph as `lower` makes it
    audit(model)   which nodes are in float (audit.py); those are outside the language and not violations of it

Activations are 8-bit codes of one scale and zero point for each tensor; weights may have one for each output channel. All of them
are initializers, so that every multiplier (M0, n) is known before a graph runs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import onnx_ir as ir

from qconv.integer.language.audit import Types, float_tensor
from qconv.integer.language.element_types import element_type
from qconv.integer.language.operands import layout_of, parameter_inputs
from qconv.integer.language.parameters import quantized_violations, quantizer_violations

MICROSOFT = "com.microsoft"
OPSETS = {"": 21, MICROSOFT: 1}

CODES = frozenset({ir.DataType.UINT8, ir.DataType.INT8})
COUNTS = frozenset({ir.DataType.INT32, ir.DataType.INT64})
SMALL = frozenset(
    {ir.DataType.INT4, ir.DataType.UINT4, ir.DataType.INT2, ir.DataType.UINT2}
)  # packed weights, in front of a Cast
FINE = frozenset({ir.DataType.INT16})  # of inputs that are read in int32, and of outputs that 8 bits do not serve
BOOL = frozenset({ir.DataType.BOOL})
INTEGERS = CODES | COUNTS
ANY = INTEGERS | BOOL

# Quantized operators: the types of their tensors. A bias is int32.
QUANTIZED: Mapping[tuple[str, str], frozenset[ir.DataType]] = {
    ("", "QLinearConv"): CODES,
    ("", "QLinearMatMul"): CODES,
    (MICROSOFT, "QLinearConv"): CODES,  # channels last
    (MICROSOFT, "QGemm"): CODES,
    (MICROSOFT, "QLinearAdd"): CODES,
    (MICROSOFT, "QLinearMul"): CODES,
    (MICROSOFT, "QLinearConcat"): CODES,
    (MICROSOFT, "QLinearGlobalAveragePool"): CODES,
    (MICROSOFT, "QLinearAveragePool"): CODES,
    (MICROSOFT, "QLinearLeakyRelu"): CODES,
    (MICROSOFT, "QLinearSigmoid"): CODES,
    (MICROSOFT, "QLinearSoftmax"): CODES,
}

# Plain operators: the types of everything that they read and write. 8-bit arithmetic would wrap around, and is left out.
PLAIN: Mapping[str, frozenset[ir.DataType]] = {
    **dict.fromkeys(["DepthToSpace", "SpaceToDepth"], CODES),
    "MaxPool": CODES | {ir.DataType.INT64},  # its indices
    **dict.fromkeys(["Pad", "Resize", "Clip", "Max", "Min", "ReduceMax", "ReduceMin", "ArgMax", "ArgMin", "TopK"], INTEGERS),
    **dict.fromkeys(["BitwiseXor", "BitwiseAnd", "BitwiseOr", "BitwiseNot"], INTEGERS),
    **dict.fromkeys(["Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Identity"], ANY | FINE),
    **dict.fromkeys(["Expand", "Tile", "ScatterElements", "ScatterND", "Compress", "ReverseSequence", "Scan", "NonZero"], ANY),
    **dict.fromkeys(["Concat", "Split", "Slice", "Gather", "GatherElements", "GatherND"], ANY | FINE),
    **dict.fromkeys(["Shape", "Size", "Constant", "ConstantOfShape", "Where", "And", "Or", "Xor", "Not"], ANY),
    **dict.fromkeys(["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"], ANY),
    **dict.fromkeys(["Add", "Sub", "Mul", "Div", "Mod", "Range", "CumSum", "Abs", "Neg", "Sign"], COUNTS),
    **dict.fromkeys(["ReduceSum", "ReduceMean", "ReduceProd"], COUNTS),
    **dict.fromkeys(["ConvInteger", "MatMulInteger"], INTEGERS),
    "MatMul": COUNTS,
    "Cast": ANY | SMALL | FINE,
}

# The two ends, and the borders of float islands.
ENDS = frozenset({"QuantizeLinear", "DequantizeLinear"})


def check(model: ir.Model, given: Collection[ir.Node] = ()) -> list[str]:
    """What in `model` is not of the language, in the order of the graph. Float nodes are left out: `audit` lists them.

    So are the nodes of `given`, which the float model has: its own arithmetic on integers is none of ours.
    """
    violations = [
        f"opset {version} of {domain or 'ai.onnx'} is asked for, and the language is of opset {OPSETS[domain]}"
        for domain, version in model.opset_imports.items()
        if domain in OPSETS and version != OPSETS[domain]
    ]
    types: Types = {}
    for node in (node for node in model.graph.all_nodes() if node not in given):
        violations += [f"node {node.name!r} ({node.op_type}): {text}" for text in node_violations(node, types)]
    return violations


def node_violations(node: ir.Node, types: Types) -> list[str]:
    """What one node violates; `types` caches element types between calls."""
    if node.domain == "" and node.op_type in ENDS:
        return quantizer_violations(node, types)
    if float_tensor(node, types) is not None:
        return []
    if (node.domain, node.op_type) in QUANTIZED and layout_of(node) is not None:
        return quantized_violations(node, types, QUANTIZED[node.domain, node.op_type])
    if node.domain == "" and node.op_type in PLAIN:
        return _type_violations(node, types, PLAIN[node.op_type])
    return ["it is not an operator of the integer language"]


def _type_violations(node: ir.Node, types: Types, allowed: frozenset[ir.DataType]) -> list[str]:
    # Shapes, axes and indices are int64 (or int32) wherever they stand.
    parameters = allowed | COUNTS if allowed is not CODES else allowed
    constants = parameter_inputs(node)
    read = [value for index, value in enumerate(node.inputs) if value is not None and index not in constants]
    values = [value for value in (*read, *node.outputs) if value.name]
    found = [(value.name, element_type(value, types)) for value in values]
    return [f"tensor {name!r} is {dtype.name.lower()}" for name, dtype in found if dtype is not None and dtype not in parameters]
