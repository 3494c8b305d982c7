from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest

from qconv.model.graph import attr_float, attr_int, attr_ints, attr_str, const_array, is_float, sole_consumer

TEXT = """<ir_version: 10, opset_import: ["" : 21]>
g (float[1, 1, 4, 4] x, int64[1] k) => (float[1, 1, 4, 4] y, float[1, 1, 4, 4] z) <float[1, 1, 1, 1] w = {2}>
{ a = Conv <group = 1, strides = [1, 1], auto_pad = "VALID"> (x, w)
  b = LeakyRelu <alpha = 0.5> (a)  y = Add(b, b)  z = Neg(a) }"""


@pytest.fixture
def model() -> ir.Model:
    return ir.from_proto(onnx.parser.parse_model(TEXT))


def test_const_array_is_for_initializers_only(model: ir.Model) -> None:
    conv = model.graph[0]
    assert const_array(conv.inputs[1]).tolist() == [[[[2.0]]]]  # type: ignore[union-attr]
    assert const_array(conv.inputs[0]) is None
    assert const_array(conv.outputs[0]) is None
    assert const_array(None) is None


def test_is_float_means_float32(model: ir.Model) -> None:
    assert [is_float(value) for value in model.graph.inputs] == [True, False]


def test_sole_consumer(model: ir.Model) -> None:
    conv, leaky, add, neg = model.graph
    assert sole_consumer(model.graph.inputs[0]) is conv
    assert sole_consumer(conv.outputs[0]) is None  # two nodes
    assert sole_consumer(leaky.outputs[0]) is None  # one node, twice
    assert sole_consumer(add.outputs[0]) is None  # a graph output
    assert sole_consumer(model.graph.inputs[1]) is None  # nobody
    assert neg.op_type == "Neg"


def test_attributes_and_their_defaults(model: ir.Model) -> None:
    conv, leaky, *_ = model.graph
    assert (attr_int(conv, "group", 7), attr_int(conv, "missing", 7)) == (1, 7)
    assert (attr_ints(conv, "strides", [7]), attr_ints(conv, "missing", (7,))) == ([1, 1], [7])
    assert (attr_str(conv, "auto_pad", "NOTSET"), attr_str(conv, "missing", "NOTSET")) == ("VALID", "NOTSET")
    assert (attr_float(leaky, "alpha", 0.01), attr_float(leaky, "missing", 0.25)) == (0.5, 0.25)
