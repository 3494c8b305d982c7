from __future__ import annotations

import tracemalloc

import onnx
import pytest
from onnx import parser

from qconv.model.shapes import infer_shapes

GROWING = {
    "ConstantOfShape": "s = Constant <value = int64[1] {1099511627776}> ()  y = ConstantOfShape(s)",
    "Expand": "s = Constant <value = int64[1] {1099511627776}> ()  k = Constant <value_int = 1> ()  y = Expand(k, s)",
    "Tile": "s = Constant <value = int64[1] {1099511627776}> ()  k = Constant <value_ints = [1]> ()  y = Tile(k, s)",
    "Range": """s = Constant <value_int = 1099511627776> ()  z = Constant <value_int = 0> ()  o = Constant <value_int = 1> ()
                y = Range(z, s, o)""",
    "computed": """s = Constant <value = int64[1] {1048576}> ()  t = Mul(s, s)  y = ConstantOfShape(t)""",
    "doubled": "k0 = Constant <value_ints = [1]> ()"
    + "".join(f"  k{i + 1} = Concat <axis = 0> (k{i}, k{i})" for i in range(40))
    + "  y = Neg(k40)",
    "in a branch": """y = If (c) <
        then_branch = t () => (int64[N] a) { s = Constant <value = int64[1] {1099511627776}> ()  a = ConstantOfShape(s) },
        else_branch = e () => (int64[N] b) { s = Constant <value = int64[1] {1099511627776}> ()  b = ConstantOfShape(s) }>""",
}


def model(body: str, inputs: str = "bool c") -> onnx.ModelProto:
    proto = parser.parse_model(f"""<ir_version: 10, opset_import: ["" : 21]> g ({inputs}) => (int64[N] y) {{ {body} }}""")
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    return proto


@pytest.mark.parametrize("case", GROWING)
def test_a_small_file_cannot_fill_the_memory(case: str) -> None:
    tracemalloc.start()
    try:
        infer_shapes(model(GROWING[case]))
        assert tracemalloc.get_traced_memory()[1] < 1 << 26  # bytes; 2^40 elements would be 8 terabytes
    finally:
        tracemalloc.stop()


def test_shape_computations_are_followed() -> None:
    body = """s = Shape(x)  i = Constant <value_int = 0> ()  n = Gather(s, i)  a = Constant <value_ints = [0]> ()
              u = Unsqueeze(n, a)  r = Constant <value_ints = [6]> ()  t = Concat <axis = 0> (u, r)  y = Reshape(x, t)"""
    shape = infer_shapes(model(body, "int64[B, 2, 3] x")).graph.output[0].type.tensor_type.shape
    assert [dim.dim_param or dim.dim_value for dim in shape.dim] == ["B", 6]


def test_a_contradiction_leaves_the_model_as_it_is() -> None:
    proto = model("y = Concat <axis = 9> (x, x)", "int64[2] x")
    assert infer_shapes(proto) == proto
