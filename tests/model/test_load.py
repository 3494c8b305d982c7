from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from qconv.errors import ModelError
from qconv.model.graph import const_array
from qconv.model.load import load

from .files import assert_same, external, linear, write


def test_initializers_that_are_inputs_are_taken_out_of_the_inputs(tmp_path: Path) -> None:
    proto = linear(opset=7, ir_version=3)
    proto.graph.input.append(helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, [3, 2]))
    graph = load(write(tmp_path, proto)).ir.graph
    assert [value.name for value in graph.inputs] == ["x"]
    assert list(graph.initializers) == ["w"]


CONSTANTS = """<ir_version: 8, opset_import: ["" : 17]>
g (float[2] x) => (float[2] y)
{ a = Constant <value = float[2] {1, 2}> ()
  b = Constant <value_float = 0.5> ()
  c = Constant <value_ints = [1, 2]> ()
  d = Cast <to = 1> (c)
  s = Add(x, a)
  t = Mul(s, b)
  y = Sub(t, d) }"""


def test_constant_nodes_become_initializers(tmp_path: Path) -> None:
    path = write(tmp_path, CONSTANTS)
    model = load(path).ir
    assert [node.op_type for node in model.graph] == ["Cast", "Add", "Mul", "Sub"]
    assert {name: const_array(value) is not None for name, value in model.graph.initializers.items()} == dict.fromkeys(
        "abc", True
    )
    assert_same(path, model)


def test_constants_that_the_converter_makes_become_initializers(tmp_path: Path) -> None:
    text = """<ir_version: 6, opset_import: ["" : 11]>
    g (float[2, 1, 3] x) => (float[2, 3] y) { y = Squeeze <axes = [1]> (x) }"""
    path = write(tmp_path, text)
    graph = load(path).ir.graph
    assert [node.op_type for node in graph] == ["Squeeze"]
    assert const_array(graph[0].inputs[1]).tolist() == [1]  # type: ignore[union-attr]


def test_nodes_are_sorted(tmp_path: Path) -> None:
    text = """<ir_version: 6, opset_import: ["" : 11]>
    g (float[2] x) => (float[2] y) { y = Relu(b)  b = Neg(a)  a = Abs(x) }"""
    path = write(tmp_path, text)
    model = load(path).ir
    assert [node.op_type for node in model.graph] == ["Abs", "Neg", "Relu"]
    assert_same(path, model)


FUNCTIONS = """<ir_version: 9, opset_import: ["" : {model}, "my" : 1]>
g (float[2, 3] x) => (float[2, 3] y) {{ a = my.Twice (x)  b = my.Scaled <by = 3.0> (a)  y = my.Twice (b) }}
<domain: "my", opset_import: ["" : {function}]>
Twice (v) => (r) {{ s = Softmax(v)  r = Add(s, v) }}
<domain: "my", opset_import: ["" : {function}, "my" : 1]>
Scaled <by> (v) => (r) {{ k = Constant <value_float: float = @by> ()  m = Mul(v, k)  r = my.Twice (m) }}"""


@pytest.mark.parametrize(("model", "function"), [(18, 18), (21, 21), (18, 17), (23, 20)])
def test_functions_are_inlined_each_at_its_own_opset(tmp_path: Path, model: int, function: int) -> None:
    path = write(tmp_path, FUNCTIONS.format(model=model, function=function))
    loaded = load(path).ir
    assert sorted(node.op_type for node in loaded.graph) == ["Add"] * 3 + ["Mul"] + ["Softmax"] * 3
    assert not loaded.functions
    assert_same(path, loaded)


def test_symbolic_dimensions_are_kept(tmp_path: Path) -> None:
    text = """<ir_version: 8, opset_import: ["" : 13]>
    g (float[batch, 3, h, w] x) => (float[batch, 3, h, w] y) { y = Relu(x) }"""
    graph = load(write(tmp_path, text)).ir.graph
    for value in (graph.inputs[0], graph.outputs[0]):
        assert [str(dim) for dim in value.shape or ()] == ["batch", "3", "h", "w"]


def test_shapes_are_inferred(tmp_path: Path) -> None:
    text = """<ir_version: 8, opset_import: ["" : 13]>
    g (float[N, 2, 8, 8] x) => (float[N, 16] y) <float[4, 2, 3, 3] w, int64[2] s = {0, -1}>
    { a = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w)  b = GlobalAveragePool(a)  c = Reshape(b, s)
      d = Concat <axis = 1> (c, c, c, c)  y = Identity(d) }"""
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.append(numpy_helper.from_array(np.ones((4, 2, 3, 3), np.float32), "w"))
    shapes = [[str(dim) for dim in node.outputs[0].shape or ()] for node in load(write(tmp_path, proto)).ir.graph]
    assert shapes == [["N", "4", "4", "4"], ["N", "4", "1", "1"], ["N", "4"], ["N", "16"], ["N", "16"]]


def test_ops_of_onnxruntime_stay(tmp_path: Path) -> None:
    text = """<ir_version: 8, opset_import: ["" : 13, "com.microsoft" : 1]>
    g (float[2, 3] x) => (float[2, 3] y) { a = com.microsoft.Gelu(x)  y = Relu(a) }"""
    path = write(tmp_path, text)
    model = load(path).ir
    assert [(node.domain, node.op_type) for node in model.graph] == [("com.microsoft", "Gelu"), ("", "Relu")]
    assert_same(path, model)


def test_metadata_survive(tmp_path: Path) -> None:
    for opset in (13, 21):
        proto = linear(opset)
        helper.set_model_props(proto, {"author": "me"})
        assert load(write(tmp_path, proto)).ir.metadata_props["author"] == "me"


@pytest.mark.parametrize("kind", ["float16", "double"])
def test_inputs_of_other_float_types_are_cast_at_the_border(tmp_path: Path, kind: str) -> None:
    text = f"""<ir_version: 8, opset_import: ["" : 13]> g ({kind}[2] x) => ({kind}[2] y) {{ y = Neg(x) }}"""
    model = load(write(tmp_path, text)).ir
    assert [node.op_type for node in model.graph] == ["Cast", "Neg", "Cast"]
    assert [str(value.name) for value in (*model.graph.inputs, *model.graph.outputs)] == ["x", "y"]


def test_a_cycle_is_refused(tmp_path: Path) -> None:
    text = """<ir_version: 8, opset_import: ["" : 13]> g (float[2] x) => (float[2] y) { y = Add(x, z)  z = Neg(y) }"""
    with pytest.raises(ModelError):
        load(write(tmp_path, text))


def test_external_data_is_mapped_not_copied(tmp_path: Path) -> None:
    weight = np.ones((1024, 1024), np.float32)
    (tmp_path / "w.bin").write_bytes(weight.tobytes())
    proto = linear()
    proto.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 1024]))
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 1024]))
    proto.graph.initializer[0].CopyFrom(external("w", weight, "w.bin"))
    for opset in (13, 21):
        proto.opset_import[0].version = opset
        tensor = load(write(tmp_path, proto)).ir.graph.initializers["w"].const_value
        assert isinstance(tensor, ir.ExternalTensor)
        assert not tensor.numpy().flags.owndata
