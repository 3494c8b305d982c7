"""Element types of values that a file does not type."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from qconv.integer.language.element_types import element_type
from tests.integer.graphs import graph

HEADER = '<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]>\n'
CONSTANTS = "<float s = {1.0}, uint8 z = {0}, int8 sz = {0}, int64[1] one = {1}>"
CASES = {
    "QuantizeLinear (f, s, z)": "UINT8",
    "QuantizeLinear (f, s, sz)": "INT8",
    "QuantizeLinear (f, s)": "UINT8",
    "QuantizeLinear <output_dtype = 3> (f, s)": "INT8",
    "DequantizeLinear (q, s, z)": "FLOAT",
    "Cast <to = 6> (q)": "INT32",
    "Shape (f)": "INT64",
    "ArgMax (q)": "INT64",
    "Equal (q, q)": "BOOL",
    "Where (b, q, q)": "UINT8",
    "ConstantOfShape (one)": "FLOAT",
    "Reshape (q, one)": "UINT8",
    "Relu (f)": "FLOAT",
    "MatMulInteger (q, q)": "INT32",
    "com.microsoft.QLinearSigmoid (q, s, z, s, z)": "UINT8",
    "com.microsoft.QLinearSigmoid (q, s, z, s)": "UINT8",
    "com.microsoft.QLinearConcat <axis = 0> (s, sz, q, s, sz)": "INT8",
    "com.microsoft.QGemm (q, s, z, q, s, z, , s, z)": "UINT8",
    "com.microsoft.QGemm (q, s, z, q, s, z)": "FLOAT",
    "If (b) <then_branch = t () => (int8 i) { i = Identity (sz) }, else_branch = e () => (int8 j) { j = Identity (sz) }>": "INT8",
    "some.Unknown ()": None,
}


@pytest.mark.parametrize("expression", CASES)
def test_inference(expression: str) -> None:
    """The output is renamed by an Identity, so that types flow through chains of untyped values."""
    text = f"net (float[4] f, uint8[4] q, bool[4] b) => (float[4] out)\n{CONSTANTS}\n{{ a = {expression}  y = Identity (a) }}"
    model = graph(HEADER + text)
    y = next(value for node in model.graph for value in node.outputs if value.name == "y")
    found = element_type(y, {})
    assert (None if found is None else found.name) == CASES[expression]


@pytest.mark.parametrize(("index", "expected"), [(0, ir.DataType.UINT8), (1, ir.DataType.INT64)])
def test_outputs_of_different_types(index: int, expected: ir.DataType) -> None:
    text = f"net (uint8[4] q) => (float[4] out)\n{CONSTANTS}\n{{ a, b = TopK (q, one) }}"
    node = next(iter(graph(HEADER + text).graph))
    assert element_type(node.outputs[index], {}) == expected
